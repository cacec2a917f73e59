//! The pointing game (arXiv 1608.00507), on boxes in place of outlines.

use std::collections::HashMap;
use std::path::Path;

use ndarray::Array2;
use serde::Deserialize;

use crate::error::{Error, Result};

/// Whether a most salient pixel lies in one of `boxes` (`x, y, width, height`).
#[allow(clippy::cast_precision_loss)]
pub fn hits(map: &Array2<f32>, boxes: &[[f32; 4]]) -> bool {
    let most = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut peaks = map.indexed_iter().filter(|(_, value)| **value == most);
    peaks.any(|((row, column), _)| {
        let (x, y) = (column as f32, row as f32);
        boxes.iter().any(|[left, top, width, height]| {
            (*left..=left + width).contains(&x) && (*top..=top + height).contains(&y)
        })
    })
}

/// Boxes of images, as a COCO-style JSON lists them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BoxList {
    /// By file name and label.
    boxes: HashMap<(String, String), Vec<[f32; 4]>>,
}

#[derive(Deserialize)]
struct Coco {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: i64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: i64,
    category_id: i64,
    bbox: [f32; 4],
}

#[derive(Deserialize)]
struct Category {
    id: i64,
    name: String,
}

impl BoxList {
    /// Reads `images`, `annotations` and `categories`.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read, [`Error::Usage`] where it is of another form.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|e| Error::io("read the boxes", path, e))?;
        let coco: Coco = serde_json::from_slice(&text)
            .map_err(|e| Error::usage(format!("{} is no COCO-style list of boxes: {e}", path.display())))?;
        let images: HashMap<i64, String> =
            coco.images.into_iter().map(|image| (image.id, base(Path::new(&image.file_name)))).collect();
        let labels: HashMap<i64, String> =
            coco.categories.into_iter().map(|category| (category.id, plain(&category.name))).collect();
        let mut boxes: HashMap<_, Vec<_>> = HashMap::new();
        for annotation in coco.annotations {
            let (image, label) = (images.get(&annotation.image_id), labels.get(&annotation.category_id));
            let Some(key) = image.cloned().zip(label.cloned()) else {
                return Err(Error::usage(format!(
                    "{}: an annotation names the image {} and the category {}, which are not listed",
                    path.display(),
                    annotation.image_id,
                    annotation.category_id
                )));
            };
            boxes.entry(key).or_default().push(annotation.bbox);
        }
        Ok(Self { boxes })
    }

    /// The boxes of a label in an image, by the image's file name; all of its boxes without a label.
    pub fn of(&self, image: &Path, label: Option<&str>) -> Vec<[f32; 4]> {
        let (image, label) = (base(image), label.map(plain));
        let mut found: Vec<_> = self
            .boxes
            .iter()
            .filter(|((of, class), _)| *of == image && label.as_ref().is_none_or(|label| label == class))
            .collect();
        found.sort_by(|a, b| a.0.cmp(b.0));
        found.into_iter().flat_map(|(_, boxes)| boxes.iter().copied()).collect()
    }
}

fn base(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn plain(label: &str) -> String {
    label.trim().to_lowercase().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_highest_pixels_may_hit_and_edges_count() {
        let mut map = Array2::zeros((10, 10));
        map[[2, 3]] = 1.0;
        map[[7, 8]] = 1.0;
        assert!(hits(&map, &[[3.0, 2.0, 1.0, 1.0]]));
        assert!(hits(&map, &[[0.0, 0.0, 1.0, 1.0], [7.0, 6.0, 1.0, 1.0]]));
        assert!(!hits(&map, &[[4.0, 2.0, 2.0, 2.0]]));
        assert!(!hits(&map, &[]));
    }

    #[test]
    fn boxes_are_read_by_image_and_label() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boxes.json");
        let text = r#"{"images": [{"id": 1, "file_name": "val/a.jpg"}],
            "categories": [{"id": 5, "name": "Tiger_cat"}, {"id": 6, "name": "dog"}],
            "annotations": [{"image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4]},
                            {"image_id": 1, "category_id": 6, "bbox": [5, 6, 7, 8]}]}"#;
        std::fs::write(&path, text).unwrap();
        let boxes = BoxList::read(&path).unwrap();
        assert_eq!(boxes.of(Path::new("elsewhere/a.jpg"), Some("tiger cat")), [[1.0, 2.0, 3.0, 4.0]]);
        assert_eq!(boxes.of(Path::new("a.jpg"), None).len(), 2);
        assert!(boxes.of(Path::new("b.jpg"), None).is_empty());
        std::fs::write(&path, text.replace("\"image_id\": 1", "\"image_id\": 9")).unwrap();
        BoxList::read(&path).unwrap_err();
        std::fs::write(&path, "[]").unwrap();
        BoxList::read(&path).unwrap_err();
    }
}
