//! Element types of tensors.

use std::fmt;

macro_rules! element_types {
    ($($variant:ident $bits:literal $attr:literal $port:literal $doc:literal),* $(,)?) => {
        /// Element type of a tensor, as named by OpenVINO.
        ///
        /// The IR spells each type twice: lower case in attributes (`element_type="f16"`),
        /// upper case on ports (`precision="FP16"`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        // Names are those of OpenVINO.
        #[allow(clippy::upper_case_acronyms)]
        pub enum ElementType { $(#[doc = $doc] $variant),* }

        impl ElementType {
            /// Size in bits; `None` where an element has no fixed size.
            pub fn bits(self) -> Option<usize> {
                match self { $(Self::$variant => if $bits == 0 { None } else { Some($bits) }),* }
            }

            /// Spelling in attributes (`f32`, `boolean`).
            pub fn as_attribute(self) -> &'static str {
                match self { $(Self::$variant => $attr),* }
            }

            /// Spelling on ports (`FP32`, `BOOL`).
            pub fn as_precision(self) -> &'static str {
                match self { $(Self::$variant => $port),* }
            }

            /// Reads the spelling used in attributes.
            pub fn from_attribute(text: &str) -> Option<Self> {
                match text { $($attr => Some(Self::$variant),)* "bool" => Some(Self::Boolean), _ => None }
            }

            /// Reads the spelling used on ports.
            pub fn from_precision(text: &str) -> Option<Self> {
                match text {
                    $($port => Some(Self::$variant),)*
                    "UNSPECIFIED" | "undefined" | "DYNAMIC" => Some(Self::Dynamic),
                    _ => Self::from_attribute(text),
                }
            }
        }
    };
}

element_types! {
    Dynamic 0 "dynamic" "dynamic" "Not known before inference.",
    Boolean 8 "boolean" "BOOL" "Boolean, one byte each.",
    F16 16 "f16" "FP16" "IEEE half precision.",
    BF16 16 "bf16" "BF16" "bfloat16.",
    F32 32 "f32" "FP32" "IEEE single precision.",
    F64 64 "f64" "FP64" "IEEE double precision.",
    F4E2M1 4 "f4e2m1" "F4E2M1" "4-bit float (MX).",
    F8E4M3 8 "f8e4m3" "F8E4M3" "8-bit float, 4 exponent bits.",
    F8E5M2 8 "f8e5m2" "F8E5M2" "8-bit float, 5 exponent bits.",
    F8E8M0 8 "f8e8m0" "F8E8M0" "8-bit power of two (MX scales).",
    I4 4 "i4" "I4" "Signed 4-bit integer, packed.",
    I8 8 "i8" "I8" "Signed 8-bit integer.",
    I16 16 "i16" "I16" "Signed 16-bit integer.",
    I32 32 "i32" "I32" "Signed 32-bit integer.",
    I64 64 "i64" "I64" "Signed 64-bit integer.",
    U1 1 "u1" "U1" "One bit, packed.",
    BIN 1 "bin" "BIN" "One bit, packed (name used by old converters).",
    U2 2 "u2" "U2" "Unsigned 2-bit integer, packed.",
    U3 3 "u3" "U3" "Unsigned 3-bit integer, packed.",
    U4 4 "u4" "U4" "Unsigned 4-bit integer, packed.",
    U6 6 "u6" "U6" "Unsigned 6-bit integer, packed.",
    U8 8 "u8" "U8" "Unsigned 8-bit integer.",
    U16 16 "u16" "U16" "Unsigned 16-bit integer.",
    U32 32 "u32" "U32" "Unsigned 32-bit integer.",
    U64 64 "u64" "U64" "Unsigned 64-bit integer.",
    NF4 4 "nf4" "NF4" "4-bit normal float, packed.",
    String 0 "string" "STRING" "Strings of any length.",
}

impl ElementType {
    /// Whether values are real numbers (of any width).
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    /// Bytes that `count` elements take in the BIN; `None` on overflow or without a fixed size.
    pub fn byte_size(self, count: usize) -> Option<usize> {
        Some(self.bits()?.checked_mul(count)?.div_ceil(8))
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_attribute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_types_round_up_to_whole_bytes() {
        assert_eq!(ElementType::U1.byte_size(9), Some(2));
        assert_eq!(ElementType::I4.byte_size(3), Some(2));
        assert_eq!(ElementType::U6.byte_size(4), Some(3));
        assert_eq!(ElementType::F16.byte_size(usize::MAX), None);
        assert_eq!(ElementType::String.byte_size(1), None);
    }

    #[test]
    fn both_spellings_are_read() {
        assert_eq!(ElementType::from_precision("FP16"), Some(ElementType::F16));
        assert_eq!(ElementType::from_attribute("f16"), Some(ElementType::F16));
        assert_eq!(ElementType::from_precision("BOOL"), Some(ElementType::Boolean));
        assert_eq!(ElementType::from_precision("float"), None);
    }
}
