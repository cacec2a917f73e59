//! Tensors as they go into and come out of the runtime.

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};

use super::RuntimeError;
use crate::ir::ElementType;

/// A dense tensor in row-major order, outside the runtime's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    element: ElementType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    /// Wraps little-endian data.
    ///
    /// # Errors
    /// [`RuntimeError::Argument`] where `bytes` is not what `shape` takes, or the elements have no
    /// fixed size.
    pub(crate) fn new(element: ElementType, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Self, RuntimeError> {
        let count = shape.iter().try_fold(1usize, |count, dim| count.checked_mul(*dim));
        let size = count.and_then(|count| element.byte_size(count));
        if size != Some(bytes.len()) {
            return Err(RuntimeError::Argument(format!(
                "{} bytes do not make a tensor {element}{shape:?}",
                bytes.len()
            )));
        }
        Ok(Self { element, shape, bytes })
    }

    /// Stores numbers as `element`: rounded to the nearest value that it has, cut at its limits.
    ///
    /// # Errors
    /// [`RuntimeError::Argument`] where the count is wrong or `element` is packed or no number.
    pub(crate) fn from_values(
        element: ElementType,
        shape: Vec<usize>,
        values: &[f32],
    ) -> Result<Self, RuntimeError> {
        let mut bytes = Vec::with_capacity(values.len() * 4);
        // `as` from float to integer saturates, which is what is promised above.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        for &value in values {
            let whole = value.round();
            match element {
                ElementType::F32 => bytes.extend(value.to_le_bytes()),
                ElementType::F64 => bytes.extend(f64::from(value).to_le_bytes()),
                ElementType::F16 => bytes.extend(f16::from_f32(value).to_le_bytes()),
                ElementType::BF16 => bytes.extend(bf16::from_f32(value).to_le_bytes()),
                ElementType::I64 => bytes.extend((whole as i64).to_le_bytes()),
                ElementType::I32 => bytes.extend((whole as i32).to_le_bytes()),
                ElementType::I16 => bytes.extend((whole as i16).to_le_bytes()),
                ElementType::I8 => bytes.extend((whole as i8).to_le_bytes()),
                ElementType::U64 => bytes.extend((whole as u64).to_le_bytes()),
                ElementType::U32 => bytes.extend((whole as u32).to_le_bytes()),
                ElementType::U16 => bytes.extend((whole as u16).to_le_bytes()),
                ElementType::U8 => bytes.extend((whole as u8).to_le_bytes()),
                ElementType::Boolean => bytes.push(u8::from(whole != 0.0)),
                _ => return Err(unsupported(element)),
            }
        }
        Self::new(element, shape, bytes)
    }

    /// Element type.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The data, little-endian, row-major.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as `f64`, row-major: exact for all but 64-bit integers beyond 2^53.
    ///
    /// # Errors
    /// [`RuntimeError::Argument`] for packed types and strings.
    pub fn values(&self) -> Result<Vec<f64>, RuntimeError> {
        macro_rules! read {
            ($type:ty, $convert:expr) => {
                self.bytes
                    .as_chunks::<{ size_of::<$type>() }>()
                    .0
                    .iter()
                    .map(|chunk| $convert(<$type>::from_le_bytes(*chunk)))
                    .collect()
            };
        }
        // Stated in the documentation of this function.
        #[allow(clippy::cast_precision_loss)]
        Ok(match self.element {
            ElementType::F32 => read!(f32, f64::from),
            ElementType::F64 => read!(f64, |value| value),
            ElementType::F16 => read!(f16, f64::from),
            ElementType::BF16 => read!(bf16, f64::from),
            ElementType::I64 => read!(i64, |value| value as f64),
            ElementType::U64 => read!(u64, |value| value as f64),
            ElementType::I32 => read!(i32, f64::from),
            ElementType::U32 => read!(u32, f64::from),
            ElementType::I16 => read!(i16, f64::from),
            ElementType::U16 => read!(u16, f64::from),
            ElementType::I8 => read!(i8, f64::from),
            ElementType::U8 | ElementType::Boolean => read!(u8, f64::from),
            other => return Err(unsupported(other)),
        })
    }

    /// The values as an array of `f32`.
    ///
    /// # Errors
    /// As [`Tensor::values`].
    pub fn to_array(&self) -> Result<ArrayD<f32>, RuntimeError> {
        // Narrowing is what the caller asks for.
        #[allow(clippy::cast_possible_truncation)]
        let values: Vec<f32> = self.values()?.into_iter().map(|value| value as f32).collect();
        ArrayD::from_shape_vec(IxDyn(&self.shape), values)
            .map_err(|e| RuntimeError::Argument(format!("tensor {}{:?}: {e}", self.element, self.shape)))
    }
}

impl std::fmt::Display for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", self.element, self.shape)
    }
}

fn unsupported(element: ElementType) -> RuntimeError {
    RuntimeError::Argument(format!("tensors of type {element} are not supported here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_round_trip_and_integers_saturate() {
        let values = [-1.0, 0.0, 1.0, 300.0];
        for (element, expected) in [
            (ElementType::F32, [-1.0, 0.0, 1.0, 300.0]),
            (ElementType::F16, [-1.0, 0.0, 1.0, 300.0]),
            (ElementType::BF16, [-1.0, 0.0, 1.0, 300.0]),
            (ElementType::I64, [-1.0, 0.0, 1.0, 300.0]),
            (ElementType::U8, [0.0, 0.0, 1.0, 255.0]),
            (ElementType::I8, [-1.0, 0.0, 1.0, 127.0]),
            (ElementType::Boolean, [1.0, 0.0, 1.0, 1.0]),
        ] {
            let tensor = Tensor::from_values(element, vec![2, 2], &values).unwrap();
            assert_eq!(tensor.values().unwrap(), expected, "{element}");
        }
    }

    #[test]
    fn a_wrong_size_is_refused() {
        Tensor::new(ElementType::F32, vec![2, 2], vec![0; 15]).unwrap_err();
        Tensor::new(ElementType::String, vec![1], vec![0; 8]).unwrap_err();
        Tensor::from_values(ElementType::U4, vec![1], &[1.0]).unwrap_err();
    }
}
