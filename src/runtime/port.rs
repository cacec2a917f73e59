//! Ports of models that are freed.

use std::mem::{needs_drop, size_of};
use std::ops::Deref;

use openvino::Node;
use openvino_sys::ov_output_const_port_t;

/// A port that the bindings gave. They never free one (as of 0.11.1), and each keeps its whole model alive.
pub(super) struct OwnedPort(Node);

impl From<Node> for OwnedPort {
    fn from(node: Node) -> Self {
        Self(node)
    }
}

impl Deref for OwnedPort {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

// What is read below: a node is one pointer and nothing else.
const _: () = assert!(size_of::<Node>() == size_of::<*mut ov_output_const_port_t>());

#[allow(unsafe_code)]
impl Drop for OwnedPort {
    fn drop(&mut self) {
        // Bindings that free their nodes do so right after this.
        if needs_drop::<Node>() {
            return;
        }
        // SAFETY: a `Node` has the pointer to its port as its only field, so that it lies at the start; the size
        // is checked above. The port came from a call that hands it over, nobody else frees it (the node does
        // nothing when it is dropped), and nobody uses it after this: the node is not `Clone` and never leaves.
        unsafe {
            let port = std::ptr::from_ref(&self.0).cast::<*mut ov_output_const_port_t>().read();
            openvino_sys::ov_output_const_port_free(port);
        }
    }
}
