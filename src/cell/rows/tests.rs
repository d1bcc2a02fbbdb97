//! What programs on rows say, and what is wrong with one.

use super::*;
