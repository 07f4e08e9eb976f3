//! Sizes, alignments, offsets and values are what a C compiler says they are.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::mem::{align_of, offset_of, size_of};
use std::process::Command;
use std::{env, fs};

use crate::declarations::{COMPILED, Exports};
use crate::machine;

/// A C expression, and what Rust takes its value for.
type Fact = (String, i64);

macro_rules! structs {
    ($($c_name:literal $name:ident { $($field:ident)* })*) => {
        fn structs() -> (Vec<Fact>, Exports) {
            let (mut facts, mut listed) = (Vec::new(), Exports::default());
            $(
                listed.structs.insert(stringify!($name).to_owned());
                facts.push((concat!("sizeof(", $c_name, ")").to_owned(), int(size_of::<cpg_sys::$name>())));
                facts.push((concat!("_Alignof(", $c_name, ")").to_owned(), int(align_of::<cpg_sys::$name>())));
                $(
                    listed.fields.insert(concat!(stringify!($name), ".", stringify!($field)).to_owned());
                    let (c_name, field) = ($c_name, stringify!($field));
                    let size = field_size(|value: &cpg_sys::$name| &value.$field);
                    facts.push((format!("offsetof({c_name}, {field})"), int(offset_of!(cpg_sys::$name, $field))));
                    facts.push((format!("sizeof((({c_name} *) 0)->{field})"), int(size)));
                )*
            )*
            (facts, listed)
        }
    };
}

macro_rules! types {
    (integers { $($integer:ident)* } callbacks { $($callback:ident)* }) => {
        fn types() -> (Vec<Fact>, BTreeSet<String>) {
            let mut facts = Vec::new();
            $(
                let name = stringify!($integer);
                facts.push((format!("sizeof({name})"), int(size_of::<cpg_sys::$integer>())));
                facts.push((format!("({name}) -1 < 0"), i64::from(cpg_sys::$integer::MIN != 0)));
            )*
            $(facts.push((
                concat!("sizeof(", stringify!($callback), ")").to_owned(),
                int(size_of::<cpg_sys::$callback>()),
            ));)*
            let names = [$(stringify!($integer),)* $(stringify!($callback),)*];
            (facts, names.map(str::to_owned).into())
        }
    };
}

macro_rules! constants {
    ($($name:ident)*) => {
        fn constants() -> Vec<Fact> {
            vec![$((stringify!($name).to_owned(), i64::from(cpg_sys::$name))),*]
        }
    };
}

structs! {
    "struct cpg_address" cpg_address { nodeid pid reason }
    "struct cpg_name" cpg_name { length value }
    "struct cpg_iteration_description_t" cpg_iteration_description_t { group nodeid pid }
    "struct cpg_ring_id" cpg_ring_id { nodeid seq }
    "cpg_callbacks_t" cpg_callbacks_t { cpg_deliver_fn cpg_confchg_fn }
    "cpg_model_data_t" cpg_model_data_t { model }
    "cpg_model_v1_data_t" cpg_model_v1_data_t {
        model cpg_deliver_fn cpg_confchg_fn cpg_totem_confchg_fn flags
    }
}

types! {
    integers {
        cpg_handle_t cpg_iteration_handle_t cpg_guarantee_t cpg_flow_control_state_t cpg_reason_t
        cpg_iteration_type_t cpg_model_t cs_error_t cs_dispatch_flags_t
    }
    callbacks { cpg_deliver_fn_t cpg_confchg_fn_t cpg_totem_confchg_fn_t }
}

constants! {
    CPG_MAX_NAME_LENGTH CPG_MEMBERS_MAX CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF CPG_MODEL_V1
    CPG_TYPE_UNORDERED CPG_TYPE_FIFO CPG_TYPE_AGREED CPG_TYPE_SAFE
    CPG_FLOW_CONTROL_DISABLED CPG_FLOW_CONTROL_ENABLED
    CPG_REASON_UNDEFINED CPG_REASON_JOIN CPG_REASON_LEAVE CPG_REASON_NODEDOWN CPG_REASON_NODEUP
    CPG_REASON_PROCDOWN CPG_ITERATION_NAME_ONLY CPG_ITERATION_ONE_GROUP CPG_ITERATION_ALL
    CS_DISPATCH_ONE CS_DISPATCH_ALL CS_DISPATCH_BLOCKING CS_DISPATCH_ONE_NONBLOCKING
    CS_OK CS_ERR_LIBRARY CS_ERR_VERSION CS_ERR_INIT CS_ERR_TIMEOUT CS_ERR_TRY_AGAIN CS_ERR_INVALID_PARAM
    CS_ERR_NO_MEMORY CS_ERR_BAD_HANDLE CS_ERR_BUSY CS_ERR_ACCESS CS_ERR_NOT_EXIST CS_ERR_NAME_TOO_LONG
    CS_ERR_EXIST CS_ERR_NO_SPACE CS_ERR_INTERRUPT CS_ERR_NAME_NOT_FOUND CS_ERR_NO_RESOURCES
    CS_ERR_NOT_SUPPORTED CS_ERR_BAD_OPERATION CS_ERR_FAILED_OPERATION CS_ERR_MESSAGE_ERROR CS_ERR_QUEUE_FULL
    CS_ERR_QUEUE_NOT_AVAILABLE CS_ERR_BAD_FLAGS CS_ERR_TOO_BIG CS_ERR_NO_SECTIONS CS_ERR_CONTEXT_NOT_FOUND
    CS_ERR_TOO_MANY_GROUPS CS_ERR_SECURITY
}

fn int(size: usize) -> i64 {
    i64::try_from(size).expect("sizes are small")
}

fn field_size<S, F>(_: impl Fn(&S) -> &F) -> usize {
    size_of::<F>()
}

#[test]
fn a_c_compiler_agrees() {
    let facts = [structs().0, types().0, constants()].concat();
    let mut source =
        "#include <stddef.h>\n#include <stdio.h>\n#include <corosync/cpg.h>\n\nint main(void)\n{\n"
            .to_owned();
    for (expression, _) in &facts {
        let _ = writeln!(source, "\tprintf(\"%lld\\n\", (long long) ({expression}));");
    }
    source.push_str("\treturn 0;\n}\n");

    let dir = machine::fresh_dir("layout");
    let (file, program) = (dir.join("layout.c"), dir.join("layout"));
    fs::write(&file, source).expect("the C program can be written");
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    machine::output_of(
        Command::new(compiler).arg("-I").arg(machine::INCLUDE).arg("-o").args([&program, &file]),
    );
    let output = machine::output_of(&mut Command::new(program));

    let said: Vec<i64> = output.lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(said.len(), facts.len());
    let differing: Vec<_> = facts.iter().zip(said).filter(|((_, rust), c)| rust != c).collect();
    assert!(differing.is_empty(), "(expression, Rust), C: {differing:#?}");
}

/// Fails if a new declaration is missing from the lists above.
#[test]
fn everything_declared_is_compared() {
    let declared = Exports::of(COMPILED);
    let listed = structs().1;
    assert_eq!(listed.structs, declared.structs);
    assert_eq!(listed.fields, declared.fields);
    assert_eq!(types().1, declared.types);
    assert_eq!(constants().into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>(), declared.constants);
}
