//! The adapter that tests run on.

use std::sync::Arc;

use wgrnn::exec::gpu::{Choice, Device, INSTALL};

/// Any adapter; where `TEST_ADAPTER` names one, none whose name does not hold that.
pub fn device() -> Arc<Device> {
    let device = match pollster::block_on(Device::open(&Choice::Gpu)) {
        Ok(Some(device)) => device,
        Ok(None) => panic!("no adapter: {INSTALL}"),
        Err(error) => panic!("{error}"),
    };
    let wanted = std::env::var("TEST_ADAPTER").unwrap_or_default();
    let name = &device.adapter.name;
    assert!(name.contains(&wanted), "expected {wanted}, found {name}");
    device
}
