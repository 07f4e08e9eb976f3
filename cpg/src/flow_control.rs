//! The state of flow control, as libcpg reports it.

/// The state of flow control, as libcpg reports it: always [`Disabled`](Self::Disabled), also while sends are refused.
///
/// ```no_run
/// use cpg::{FlowControl, Handle};
///
/// assert_eq!(Handle::connect()?.flow_control()?, FlowControl::Disabled);
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// The only sign of flow control is a send that returns `CS_ERR_TRY_AGAIN`.
#[doc(alias = "cpg_flow_control_state_t")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FlowControl {
    /// Messages may be sent.
    #[doc(alias = "CPG_FLOW_CONTROL_DISABLED")]
    Disabled,
    /// Messages should not be sent.
    #[doc(alias = "CPG_FLOW_CONTROL_ENABLED")]
    Enabled,
    /// A state that `corosync/cpg.h` did not have when this was written.
    Unknown(u32),
}

/// Returns the state with this number in C.
impl From<u32> for FlowControl {
    fn from(code: u32) -> Self {
        match code {
            cpg_sys::CPG_FLOW_CONTROL_DISABLED => Self::Disabled,
            cpg_sys::CPG_FLOW_CONTROL_ENABLED => Self::Enabled,
            other => Self::Unknown(other),
        }
    }
}

/// Returns the number of the state in C.
impl From<FlowControl> for u32 {
    fn from(state: FlowControl) -> Self {
        match state {
            FlowControl::Disabled => cpg_sys::CPG_FLOW_CONTROL_DISABLED,
            FlowControl::Enabled => cpg_sys::CPG_FLOW_CONTROL_ENABLED,
            FlowControl::Unknown(code) => code,
        }
    }
}
