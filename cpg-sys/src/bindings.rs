// Generated from corosync/cpg.h by cpg-sys/build/bindings.rs: not to be edited by hand.

pub const CPG_MAX_NAME_LENGTH: u32 = 128;
pub const CPG_MEMBERS_MAX: u32 = 128;
pub const CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF: u32 = 1;
pub const CS_DISPATCH_ONE: cs_dispatch_flags_t = 1;
pub const CS_DISPATCH_ALL: cs_dispatch_flags_t = 2;
pub const CS_DISPATCH_BLOCKING: cs_dispatch_flags_t = 3;
pub const CS_DISPATCH_ONE_NONBLOCKING: cs_dispatch_flags_t = 4;
pub type cs_dispatch_flags_t = ::core::ffi::c_uint;
pub const CS_OK: cs_error_t = 1;
pub const CS_ERR_LIBRARY: cs_error_t = 2;
pub const CS_ERR_VERSION: cs_error_t = 3;
pub const CS_ERR_INIT: cs_error_t = 4;
pub const CS_ERR_TIMEOUT: cs_error_t = 5;
pub const CS_ERR_TRY_AGAIN: cs_error_t = 6;
pub const CS_ERR_INVALID_PARAM: cs_error_t = 7;
pub const CS_ERR_NO_MEMORY: cs_error_t = 8;
pub const CS_ERR_BAD_HANDLE: cs_error_t = 9;
pub const CS_ERR_BUSY: cs_error_t = 10;
pub const CS_ERR_ACCESS: cs_error_t = 11;
pub const CS_ERR_NOT_EXIST: cs_error_t = 12;
pub const CS_ERR_NAME_TOO_LONG: cs_error_t = 13;
pub const CS_ERR_EXIST: cs_error_t = 14;
pub const CS_ERR_NO_SPACE: cs_error_t = 15;
pub const CS_ERR_INTERRUPT: cs_error_t = 16;
pub const CS_ERR_NAME_NOT_FOUND: cs_error_t = 17;
pub const CS_ERR_NO_RESOURCES: cs_error_t = 18;
pub const CS_ERR_NOT_SUPPORTED: cs_error_t = 19;
pub const CS_ERR_BAD_OPERATION: cs_error_t = 20;
pub const CS_ERR_FAILED_OPERATION: cs_error_t = 21;
pub const CS_ERR_MESSAGE_ERROR: cs_error_t = 22;
pub const CS_ERR_QUEUE_FULL: cs_error_t = 23;
pub const CS_ERR_QUEUE_NOT_AVAILABLE: cs_error_t = 24;
pub const CS_ERR_BAD_FLAGS: cs_error_t = 25;
pub const CS_ERR_TOO_BIG: cs_error_t = 26;
pub const CS_ERR_NO_SECTIONS: cs_error_t = 27;
pub const CS_ERR_CONTEXT_NOT_FOUND: cs_error_t = 28;
pub const CS_ERR_TOO_MANY_GROUPS: cs_error_t = 30;
pub const CS_ERR_SECURITY: cs_error_t = 100;
pub type cs_error_t = ::core::ffi::c_uint;
pub type cpg_handle_t = u64;
pub type cpg_iteration_handle_t = u64;
pub const CPG_TYPE_UNORDERED: cpg_guarantee_t = 0;
pub const CPG_TYPE_FIFO: cpg_guarantee_t = 1;
pub const CPG_TYPE_AGREED: cpg_guarantee_t = 2;
pub const CPG_TYPE_SAFE: cpg_guarantee_t = 3;
pub type cpg_guarantee_t = ::core::ffi::c_uint;
pub const CPG_FLOW_CONTROL_DISABLED: cpg_flow_control_state_t = 0;
pub const CPG_FLOW_CONTROL_ENABLED: cpg_flow_control_state_t = 1;
pub type cpg_flow_control_state_t = ::core::ffi::c_uint;
pub const CPG_REASON_UNDEFINED: cpg_reason_t = 0;
pub const CPG_REASON_JOIN: cpg_reason_t = 1;
pub const CPG_REASON_LEAVE: cpg_reason_t = 2;
pub const CPG_REASON_NODEDOWN: cpg_reason_t = 3;
pub const CPG_REASON_NODEUP: cpg_reason_t = 4;
pub const CPG_REASON_PROCDOWN: cpg_reason_t = 5;
pub type cpg_reason_t = ::core::ffi::c_uint;
pub const CPG_ITERATION_NAME_ONLY: cpg_iteration_type_t = 1;
pub const CPG_ITERATION_ONE_GROUP: cpg_iteration_type_t = 2;
pub const CPG_ITERATION_ALL: cpg_iteration_type_t = 3;
pub type cpg_iteration_type_t = ::core::ffi::c_uint;
pub const CPG_MODEL_V1: cpg_model_t = 1;
pub type cpg_model_t = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, Hash, PartialEq, Eq)]
pub struct cpg_address {
    pub nodeid: u32,
    pub pid: u32,
    pub reason: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
#[cfg(target_pointer_width = "64")]
const _: () = {
    ["Size of cpg_address"][::core::mem::size_of::<cpg_address>() - 12usize];
    ["Alignment of cpg_address"][::core::mem::align_of::<cpg_address>() - 4usize];
    ["Offset of field: cpg_address::nodeid"][::core::mem::offset_of!(cpg_address, nodeid) - 0usize];
    ["Offset of field: cpg_address::pid"][::core::mem::offset_of!(cpg_address, pid) - 4usize];
    ["Offset of field: cpg_address::reason"][::core::mem::offset_of!(cpg_address, reason) - 8usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct cpg_name {
    pub length: u32,
    pub value: [::core::ffi::c_char; 128usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
#[cfg(target_pointer_width = "64")]
const _: () = {
    ["Size of cpg_name"][::core::mem::size_of::<cpg_name>() - 132usize];
    ["Alignment of cpg_name"][::core::mem::align_of::<cpg_name>() - 4usize];
    ["Offset of field: cpg_name::length"][::core::mem::offset_of!(cpg_name, length) - 0usize];
    ["Offset of field: cpg_name::value"][::core::mem::offset_of!(cpg_name, value) - 4usize];
};
impl Default for cpg_name {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct cpg_iteration_description_t {
    pub group: cpg_name,
    pub nodeid: u32,
    pub pid: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
#[cfg(target_pointer_width = "64")]
const _: () = {
    ["Size of cpg_iteration_description_t"][::core::mem::size_of::<cpg_iteration_description_t>() - 140usize];
    ["Alignment of cpg_iteration_description_t"]
        [::core::mem::align_of::<cpg_iteration_description_t>() - 4usize];
    ["Offset of field: cpg_iteration_description_t::group"]
        [::core::mem::offset_of!(cpg_iteration_description_t, group) - 0usize];
    ["Offset of field: cpg_iteration_description_t::nodeid"]
        [::core::mem::offset_of!(cpg_iteration_description_t, nodeid) - 132usize];
    ["Offset of field: cpg_iteration_description_t::pid"]
        [::core::mem::offset_of!(cpg_iteration_description_t, pid) - 136usize];
};
impl Default for cpg_iteration_description_t {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone, Hash, PartialEq, Eq)]
pub struct cpg_ring_id {
    pub nodeid: u32,
    pub seq: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
#[cfg(target_pointer_width = "64")]
const _: () = {
    ["Size of cpg_ring_id"][::core::mem::size_of::<cpg_ring_id>() - 16usize];
    ["Alignment of cpg_ring_id"][::core::mem::align_of::<cpg_ring_id>() - 8usize];
    ["Offset of field: cpg_ring_id::nodeid"][::core::mem::offset_of!(cpg_ring_id, nodeid) - 0usize];
    ["Offset of field: cpg_ring_id::seq"][::core::mem::offset_of!(cpg_ring_id, seq) - 8usize];
};
pub type cpg_deliver_fn_t = ::core::option::Option<
    unsafe extern "C" fn(
        handle: cpg_handle_t,
        group_name: *const cpg_name,
        nodeid: u32,
        pid: u32,
        msg: *mut ::core::ffi::c_void,
        msg_len: usize,
    ),
>;
pub type cpg_confchg_fn_t = ::core::option::Option<
    unsafe extern "C" fn(
        handle: cpg_handle_t,
        group_name: *const cpg_name,
        member_list: *const cpg_address,
        member_list_entries: usize,
        left_list: *const cpg_address,
        left_list_entries: usize,
        joined_list: *const cpg_address,
        joined_list_entries: usize,
    ),
>;
pub type cpg_totem_confchg_fn_t = ::core::option::Option<
    unsafe extern "C" fn(
        handle: cpg_handle_t,
        ring_id: cpg_ring_id,
        member_list_entries: u32,
        member_list: *const u32,
    ),
>;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct cpg_callbacks_t {
    pub cpg_deliver_fn: cpg_deliver_fn_t,
    pub cpg_confchg_fn: cpg_confchg_fn_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
#[cfg(target_pointer_width = "64")]
const _: () = {
    ["Size of cpg_callbacks_t"][::core::mem::size_of::<cpg_callbacks_t>() - 16usize];
    ["Alignment of cpg_callbacks_t"][::core::mem::align_of::<cpg_callbacks_t>() - 8usize];
    ["Offset of field: cpg_callbacks_t::cpg_deliver_fn"]
        [::core::mem::offset_of!(cpg_callbacks_t, cpg_deliver_fn) - 0usize];
    ["Offset of field: cpg_callbacks_t::cpg_confchg_fn"]
        [::core::mem::offset_of!(cpg_callbacks_t, cpg_confchg_fn) - 8usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct cpg_model_data_t {
    pub model: cpg_model_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
#[cfg(target_pointer_width = "64")]
const _: () = {
    ["Size of cpg_model_data_t"][::core::mem::size_of::<cpg_model_data_t>() - 4usize];
    ["Alignment of cpg_model_data_t"][::core::mem::align_of::<cpg_model_data_t>() - 4usize];
    ["Offset of field: cpg_model_data_t::model"][::core::mem::offset_of!(cpg_model_data_t, model) - 0usize];
};
impl Default for cpg_model_data_t {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct cpg_model_v1_data_t {
    pub model: cpg_model_t,
    pub cpg_deliver_fn: cpg_deliver_fn_t,
    pub cpg_confchg_fn: cpg_confchg_fn_t,
    pub cpg_totem_confchg_fn: cpg_totem_confchg_fn_t,
    pub flags: ::core::ffi::c_uint,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
#[cfg(target_pointer_width = "64")]
const _: () = {
    ["Size of cpg_model_v1_data_t"][::core::mem::size_of::<cpg_model_v1_data_t>() - 40usize];
    ["Alignment of cpg_model_v1_data_t"][::core::mem::align_of::<cpg_model_v1_data_t>() - 8usize];
    ["Offset of field: cpg_model_v1_data_t::model"]
        [::core::mem::offset_of!(cpg_model_v1_data_t, model) - 0usize];
    ["Offset of field: cpg_model_v1_data_t::cpg_deliver_fn"]
        [::core::mem::offset_of!(cpg_model_v1_data_t, cpg_deliver_fn) - 8usize];
    ["Offset of field: cpg_model_v1_data_t::cpg_confchg_fn"]
        [::core::mem::offset_of!(cpg_model_v1_data_t, cpg_confchg_fn) - 16usize];
    ["Offset of field: cpg_model_v1_data_t::cpg_totem_confchg_fn"]
        [::core::mem::offset_of!(cpg_model_v1_data_t, cpg_totem_confchg_fn) - 24usize];
    ["Offset of field: cpg_model_v1_data_t::flags"]
        [::core::mem::offset_of!(cpg_model_v1_data_t, flags) - 32usize];
};
impl Default for cpg_model_v1_data_t {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
unsafe extern "C" {
    pub fn cpg_initialize(handle: *mut cpg_handle_t, callbacks: *mut cpg_callbacks_t) -> cs_error_t;
    pub fn cpg_model_initialize(
        handle: *mut cpg_handle_t,
        model: cpg_model_t,
        model_data: *mut cpg_model_data_t,
        context: *mut ::core::ffi::c_void,
    ) -> cs_error_t;
    pub fn cpg_finalize(handle: cpg_handle_t) -> cs_error_t;
    pub fn cpg_fd_get(handle: cpg_handle_t, fd: *mut ::core::ffi::c_int) -> cs_error_t;
    pub fn cpg_max_atomic_msgsize_get(handle: cpg_handle_t, size: *mut u32) -> cs_error_t;
    pub fn cpg_context_get(handle: cpg_handle_t, context: *mut *mut ::core::ffi::c_void) -> cs_error_t;
    pub fn cpg_context_set(handle: cpg_handle_t, context: *mut ::core::ffi::c_void) -> cs_error_t;
    pub fn cpg_dispatch(handle: cpg_handle_t, dispatch_types: cs_dispatch_flags_t) -> cs_error_t;
    pub fn cpg_join(handle: cpg_handle_t, group: *const cpg_name) -> cs_error_t;
    pub fn cpg_leave(handle: cpg_handle_t, group: *const cpg_name) -> cs_error_t;
    pub fn cpg_mcast_joined(
        handle: cpg_handle_t,
        guarantee: cpg_guarantee_t,
        iovec: *const iovec,
        iov_len: ::core::ffi::c_uint,
    ) -> cs_error_t;
    pub fn cpg_membership_get(
        handle: cpg_handle_t,
        groupName: *mut cpg_name,
        member_list: *mut cpg_address,
        member_list_entries: *mut ::core::ffi::c_int,
    ) -> cs_error_t;
    pub fn cpg_local_get(handle: cpg_handle_t, local_nodeid: *mut ::core::ffi::c_uint) -> cs_error_t;
    pub fn cpg_flow_control_state_get(
        handle: cpg_handle_t,
        flow_control_enabled: *mut cpg_flow_control_state_t,
    ) -> cs_error_t;
    pub fn cpg_zcb_alloc(
        handle: cpg_handle_t,
        size: usize,
        buffer: *mut *mut ::core::ffi::c_void,
    ) -> cs_error_t;
    pub fn cpg_zcb_free(handle: cpg_handle_t, buffer: *mut ::core::ffi::c_void) -> cs_error_t;
    pub fn cpg_zcb_mcast_joined(
        handle: cpg_handle_t,
        guarantee: cpg_guarantee_t,
        msg: *mut ::core::ffi::c_void,
        msg_len: usize,
    ) -> cs_error_t;
    pub fn cpg_iteration_initialize(
        handle: cpg_handle_t,
        iteration_type: cpg_iteration_type_t,
        group: *const cpg_name,
        cpg_iteration_handle: *mut cpg_iteration_handle_t,
    ) -> cs_error_t;
    pub fn cpg_iteration_next(
        handle: cpg_iteration_handle_t,
        description: *mut cpg_iteration_description_t,
    ) -> cs_error_t;
    pub fn cpg_iteration_finalize(handle: cpg_iteration_handle_t) -> cs_error_t;
}
