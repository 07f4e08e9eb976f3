//! The text of errors, and the page about codes.

use super::*;
use crate::outlook::Outlook;

#[test]
fn debug_prints_the_text_for_people_with_the_remedy() {
    let error = Error::cs("cpg_join", cpg_sys::CS_ERR_EXIST);
    assert!(
        error.to_string().starts_with("cpg_join: CS_ERR_EXIST: it exists already: this process"),
        "{error}"
    );
    assert_eq!(format!("{error:?}"), error.to_string());
    assert_eq!(format!("{:?}", Error::Left), Error::Left.to_string());
}

#[test]
fn an_io_error_keeps_the_kind_and_the_cause() {
    let error = io::Error::from(Error::cs("cpg_mcast_joined", cpg_sys::CS_ERR_TRY_AGAIN));
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let cause = error.get_ref().unwrap().downcast_ref::<Error>().unwrap();
    assert!(cause.is_retryable() && !cause.is_connection_lost());
    assert_eq!(cause.code(), Some(CsError::TryAgain));
}

const REQUESTS: [&str; 12] = [
    "cpg_local_get",
    "cpg_membership_get",
    "cpg_join",
    "cpg_leave",
    "cpg_finalize",
    "cpg_iteration_initialize",
    "cpg_iteration_next",
    "cpg_iteration_finalize",
    "cpg_mcast_joined",
    "cpg_zcb_alloc",
    "cpg_zcb_free",
    "cpg_zcb_mcast_joined",
];
const OTHERS: [&str; 4] =
    ["cpg_model_initialize", "cpg_fd_get", "cpg_max_atomic_msgsize_get", "cpg_dispatch"];

fn codes() -> impl Iterator<Item = CsError> {
    (0..=200).map(CsError::from_code).filter(|code| code.name().is_some())
}

/// Returns the rows of the page about codes: each function and code of a row, and its last column.
fn rows() -> Vec<(&'static str, CsError, Outlook)> {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/codes.md"));
    let mut rows = Vec::new();
    for line in page.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, function, code, _, mended, _] = cells[..] else { continue };
        let outlook = match mended {
            "retry" => Outlook::Again,
            "reconnect" => Outlook::Reconnect,
            "wait" => Outlook::Others,
            "person" => Outlook::Nothing,
            _ => {
                assert!(matches!(mended, "mended by" | "---"), "{line}");
                continue;
            }
        };
        let function = function.trim_matches('`');
        let functions = REQUESTS.into_iter().chain(OTHERS).filter(|name| match function {
            "any request" => REQUESTS.contains(name),
            "any function" => true,
            function => function == *name,
        });
        let code = code.trim_matches('`');
        let wanted = match code {
            // The codes that no other row has.
            "others, also code 0" => Some(CsError::from_code(0)),
            code => codes().find(|known| known.name() == Some(code)),
        };
        let wanted = wanted.unwrap_or_else(|| panic!("no code of libcpg's: {line}"));
        let before = rows.len();
        rows.extend(functions.map(|name| (name, wanted, outlook)));
        assert!(rows.len() > before, "no function of libcpg's: {line}");
    }
    rows
}

#[test]
fn the_page_about_codes_has_the_cure_of_each_code() {
    let rows = rows();
    assert!(rows.len() > 100, "{} rows found", rows.len());
    for &(function, code, outlook) in &rows {
        assert_eq!(Outlook::of(function, code), outlook, "{function}: {code}");
        let error = Error::cs(function, code.into());
        assert_eq!(error.is_retryable(), outlook == Outlook::Again, "{function}: {code}");
        assert_eq!(error.is_connection_lost(), outlook == Outlook::Reconnect, "{function}: {code}");
    }
    let listed = |function, code| rows.iter().any(|row| (row.0, row.1) == (function, code));
    let of = |function, code: CsError| {
        let error = Error::cs(function, code.into());
        let text = error.to_string();
        (error.outlook(), text.strip_prefix(&format!("{function}: {code}")).map(str::to_owned))
    };
    for code in codes() {
        // The page has the rows for every request, and those for one function.
        let of_requests = of(REQUESTS[0], code);
        let nothing = (Some(Outlook::Nothing), Some(String::new()));
        assert!(
            of_requests == nothing || listed(REQUESTS[0], code),
            "any request: {code} is not on the page"
        );
        for function in REQUESTS.into_iter().chain(OTHERS) {
            let common = of(function, code) == of_requests;
            // The texts of connecting differ, with a remedy for each row that has one.
            let plain =
                function == "cpg_model_initialize" && Outlook::of(function, code) == of_requests.0.unwrap();
            assert!(common || plain || listed(function, code), "{function}: {code} is not on the page");
        }
    }
}

#[test]
fn the_text_of_a_lost_connection_says_that_a_session_reconnects_by_itself() {
    for function in REQUESTS.into_iter().chain(["cpg_dispatch"]) {
        let text = remedy::text(function, CsError::Library);
        assert!(
            text.contains("a session that reconnects comes back by itself, everything else has to"),
            "{text}"
        );
    }
}

#[test]
fn an_error_that_a_person_has_to_mend_is_not_waited_for() {
    for code in [cpg_sys::CS_ERR_ACCESS, cpg_sys::CS_ERR_EXIST, cpg_sys::CS_ERR_INVALID_PARAM] {
        assert!(!Error::cs("cpg_join", code).passes(), "{code}");
    }
    assert!(!Error::InvalidName(NameError::Empty).passes());
    assert!(!Error::GroupTooLarge { members: 128, limit: 128 }.passes());
    assert!(!Error::UntrustedDaemon { uid: 1000, is_overflow: false }.passes());
    assert!(!Error::DatagramIpc.passes());
    // The test of the page about codes has every code.
    for code in [cpg_sys::CS_ERR_LIBRARY, cpg_sys::CS_ERR_TRY_AGAIN, cpg_sys::CS_ERR_NO_SPACE] {
        assert!(Error::cs("cpg_model_initialize", code).passes(), "{code}");
    }
    assert!(Error::TooManyHandles { open: 47 }.passes());
    let io = |code| Error::io("starting a thread")(io::Error::from_raw_os_error(code));
    for code in [libc::EAGAIN, libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
        assert!(io(code).passes(), "{code}");
    }
    assert!(!io(libc::EPERM).passes());
}
