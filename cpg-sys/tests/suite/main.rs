//! The declarations against the library, the header and a C compiler, and the build script against odd machines.

mod bindings;
mod build_script;
mod declarations;
mod dependent;
mod layout;
mod machine;
mod symbols;
