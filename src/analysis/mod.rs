//! scratch
/// scratch
#[derive(Debug)]
pub struct Refusal;
impl std::fmt::Display for Refusal {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
