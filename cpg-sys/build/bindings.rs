//! Generates the declarations from `corosync/cpg.h` with bindgen.

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;

use bindgen::{Builder, EnumVariation, Formatter, RustTarget};

use crate::{advice, probe};

const HEADING: &str =
    "// Generated from corosync/cpg.h by cpg-sys/build/bindings.rs: not to be edited by hand.";
/// The bytes behind a name's length are no part of it, and functions have no equality to rely on.
const NOT_COMPARED: &str = "cpg_name|cpg_iteration_description_t|cpg_callbacks_t|cpg_model_v1_data_t";

/// Returns the declarations in the form of `src/bindings.rs`, or says what to do.
pub fn generate(include_dirs: &[PathBuf]) -> Result<String, String> {
    // clang-sys reads these without telling cargo.
    for name in ["LIBCLANG_PATH", "LLVM_CONFIG_PATH", "CLANG_PATH"] {
        probe::variable(name);
    }
    let builder = builder(include_dirs);
    let text = quietly(|| builder.generate().map(|bindings| bindings.to_string()))
        .and_then(|result| result.map_err(|error| error.to_string()))
        .map_err(|why| advice::for_bindgen(&why))?;

    // Sizes and offsets differ between 32 and 64 bits, and nothing else does: marked, they can be committed.
    let width = probe::cargo_variable("CARGO_CFG_TARGET_POINTER_WIDTH");
    Ok(text.replace("const _", &format!("#[cfg(target_pointer_width = \"{width}\")]\nconst _")))
}

fn builder(include_dirs: &[PathBuf]) -> Builder {
    let target = RustTarget::stable(85, 0).unwrap_or_else(|_| panic!("bindgen knows no Rust 1.85"));
    bindgen::builder()
        .header("wrapper.h")
        .clang_args(include_dirs.iter().map(|dir| format!("-I{}", dir.display())))
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()))
        .rust_target(target)
        .use_core()
        .ctypes_prefix("::core::ffi")
        .disable_header_comment()
        // They are under the licence of corosync, and say little: `documentation.rs` has ours.
        .generate_comments(false)
        .raw_line(HEADING)
        .allowlist_function("cpg_.*")
        .allowlist_type("cpg_.*|cs_error_t|cs_dispatch_flags_t")
        .allowlist_var("CPG_.*")
        .blocklist_type("iovec")
        // The daemon may send values that this header does not know, which a Rust enum must not hold.
        .default_enum_style(EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_default(true)
        .derive_eq(true)
        .derive_hash(true)
        .no_partialeq(NOT_COMPARED)
        .no_hash(NOT_COMPARED)
        .merge_extern_blocks(true)
        .formatter(Formatter::Rustfmt)
}

/// Runs bindgen, which panics when it finds no libclang, so that its message can go into ours.
fn quietly<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    panic::set_hook(hook);
    result.map_err(|payload| match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => {
            payload.downcast::<&str>().map_or("bindgen panicked".to_owned(), |text| text.to_string())
        }
    })
}
