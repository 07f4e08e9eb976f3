//! The state of flow control, as libcpg reports it.

/// What libcpg says of flow control: always [`Disabled`](Self::Disabled), also when sends are refused.
///
/// A send that answers `CS_ERR_TRY_AGAIN` is the only sign of flow control that there is.
///
/// ```no_run
/// use cpg::{FlowControl, Handle};
///
/// assert_eq!(Handle::connect()?.flow_control()?, FlowControl::Disabled);
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_flow_control_state_t")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
