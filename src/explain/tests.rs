//! Explanations beside the runtime by itself.

use std::path::Path;

use image::{Rgb, RgbImage};

use super::{ExplainOptions, Explainer, Photo, Quiet};
use crate::ir::{Destination, ElementType};
use crate::runtime::{Runtime, RuntimeOptions, Tensor};
use crate::{Model, Options, Outcome, SaliencyType, insert};

/// Maps and scores are those of the written model, run on pixels that this test normalises itself.
#[test]
fn maps_are_those_of_the_inserted_branch() {
    let mut runtime = match Runtime::load(&RuntimeOptions::default()) {
        Ok(runtime) => runtime,
        Err(e) => {
            assert!(std::env::var_os("XAI_REQUIRE_OPENVINO").is_none(), "{e}");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let photo = folder.path().join("p.png");
    let byte = |value: u32| u8::try_from(value).unwrap();
    let pixels = RgbImage::from_fn(224, 224, |x, y| Rgb([byte(x), byte(y), byte(x * y / 224)]));
    pixels.save(&photo).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mobilenet_v2/mobilenet_v2.xml");
    let model = Model::read(&path, None).unwrap();
    let branch = Options { saliency_type: SaliencyType::F32, ..Options::default() };
    let Outcome::Inserted(insertion) = insert(&model, &branch).unwrap() else { panic!("not inserted") };
    let written = folder.path().join("m.xml");
    insertion.write(&Destination::new(&written, &[&path], false).unwrap()).unwrap();

    let (mean, scale) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]);
    let mut values = Vec::new();
    for channel in 0..3 {
        values.extend(
            pixels.pixels().map(|pixel| (f32::from(pixel.0[channel]) - mean[channel]) / scale[channel]),
        );
    }
    let input = Tensor::from_values(ElementType::F32, vec![1, 3, 224, 224], &values).unwrap();
    let mut session = runtime.compile(&written, &written.with_extension("bin")).unwrap();
    let outputs = session.run(&[input]).unwrap();
    let (logits, maps) = (outputs[0].to_array().unwrap(), outputs[1].to_array().unwrap());
    let sum: f32 = logits.iter().map(|logit| logit.exp()).sum();

    let options = ExplainOptions { targets: "7,950".parse().unwrap(), ..ExplainOptions::default() };
    let mut explainer = Explainer::open(&path, &options).unwrap();
    let found = explainer.explain(&Photo::read(&photo).unwrap(), &Quiet).unwrap();
    for (target, class) in found.targets.iter().zip([7, 950]) {
        assert_eq!(target.class, Some(class));
        let score = logits[[0, class]].exp() / sum;
        assert!((target.score.unwrap() - score).abs() < 1e-4 * score.max(1e-3), "{class}");
        let expected = maps.index_axis(ndarray::Axis(0), 0);
        let expected = expected.index_axis(ndarray::Axis(0), class);
        assert!(target.map.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 0.05), "{class}");
    }
    // A model that carries its map is used as it is.
    let mut explainer = Explainer::open(&written, &options).unwrap();
    assert!(
        explainer.settings().notes[0].to_string().contains("already"),
        "{:?}",
        explainer.settings().notes
    );
    let again = explainer.explain(&Photo::read(&photo).unwrap(), &Quiet).unwrap();
    assert!(again.targets[0].map.iter().zip(&found.targets[0].map).all(|(a, b)| (a - b).abs() < 0.05));
}
