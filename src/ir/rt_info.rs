//! The net's `<rt_info>`: a tree of named values.

/// A node of the net's `<rt_info>`: a name, its `value` attribute and what is nested in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RtInfo {
    /// Element name (`model_info`, `mean_values`, …); empty for the root.
    pub name: String,
    /// The `value` attribute, where there is one.
    pub value: Option<String>,
    /// Nested nodes in file order.
    pub children: Vec<RtInfo>,
}

impl RtInfo {
    /// The first child of that name.
    pub(crate) fn child(&self, name: &str) -> Option<&RtInfo> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Value at a path, as OpenVINO's `get_rt_info(["model_info", "labels"])` reads it.
    pub(crate) fn get(&self, path: &[&str]) -> Option<&str> {
        let mut node = self;
        for name in path {
            node = node.child(name)?;
        }
        node.value.as_deref()
    }
}
