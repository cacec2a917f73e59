//! Settings that change nothing for the method that was chosen.

use super::Options;
use crate::message::{Message, Setting, message};
use crate::methods::Method;

/// A setting, whether it differs from its default, whom it is for, and whether the method is one of these.
type Use = (Setting, bool, &'static str, bool);

impl Options {
    /// A note for each setting that was changed and has no effect on a branch of that method, whose head has quantized
    /// activations or none.
    pub(crate) fn without_effect(&self, method: Method, quantized: bool) -> Vec<Message> {
        let usual = Self::default();
        let vit = ("of ViTReciproCAM, which masks attention blocks", method == Method::VitReciproCam);
        let maps = (
            "of detectors' class maps; others have the size of their target",
            method == Method::ClassProbabilityMap,
        );
        let masks = ("of methods that evaluate a head under masks", method.masks());
        let integers = ("of heads whose activations are quantized, and none of this one's are", quantized);
        let steps = if method.masks() { integers } else { masks };
        let uses: [Use; 7] = [
            (Setting::SaliencySize, self.saliency_size != usual.saliency_size, maps.0, maps.1),
            (Setting::Block, self.block != usual.block, vit.0, vit.1),
            (Setting::Kernel, self.kernel != usual.kernel, vit.0, vit.1),
            (Setting::ClassToken, self.class_token != usual.class_token, vit.0, vit.1),
            (Setting::Strategy, self.strategy != usual.strategy, masks.0, masks.1),
            (Setting::Quantized, self.quantized != usual.quantized, steps.0, steps.1),
            (Setting::MemoryBudget, self.memory_budget != usual.memory_budget, masks.0, masks.1),
        ];
        let idle = uses.into_iter().filter(|(_, given, _, used)| *given && !used);
        idle.map(|(setting, _, whose, _)| no_effect(setting, whose)).collect()
    }
}

/// The note for a setting without effect, which is somebody else's.
pub(crate) fn no_effect(setting: Setting, whose: &str) -> Message {
    message![setting, format!(" has no effect: it is a setting {whose}")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::{Kernel, Quantized};

    #[test]
    fn what_another_method_is_for_is_said() {
        let all = Options {
            saliency_size: (7, 7),
            block: 2,
            kernel: Kernel::Single,
            class_token: false,
            memory_budget: 1,
            quantized: Quantized::Exact,
            ..Options::default()
        };
        let said = |method, quantized| -> Vec<String> {
            all.without_effect(method, quantized).iter().map(ToString::to_string).collect()
        };
        let of_vit = said(Method::VitReciproCam, false);
        assert!(of_vit[0].starts_with("`saliency_size` has no effect: it is a setting of "), "{of_vit:?}");
        assert!(of_vit[1].starts_with("`quantized` has no effect: it is a setting of heads"), "{of_vit:?}");
        assert_eq!((of_vit.len(), said(Method::VitReciproCam, true).len()), (2, 1));
        assert_eq!(said(Method::ReciproCam, true).len(), 4);
        assert_eq!(said(Method::ActivationMap, false).len(), 6);
        assert_eq!(said(Method::ClassProbabilityMap, false).len(), 5);
        for method in Method::ALL {
            assert!(Options::default().without_effect(method, false).is_empty());
        }
    }
}
