//! Streams and events. Work is done when it is asked for, so there is nothing to wait for.

use std::ffi::{c_int, c_uint, c_void};
use std::time::Instant;

use super::state::pointer;
use super::{CudaError, Driver, answer, give};

/// The null stream's other names: `CU_STREAM_LEGACY` and `CU_STREAM_PER_THREAD`.
const DEFAULT_STREAMS: [usize; 3] = [0, 1, 2];

impl Driver {
    pub(super) fn check_stream(&self, stream: *mut c_void) -> Result<(), CudaError> {
        let known = DEFAULT_STREAMS.contains(&stream.addr()) || self.streams.contains(&stream.addr());
        if known { Ok(()) } else { Err(CudaError::INVALID_HANDLE) }
    }

    fn check_event(&self, event: *mut c_void) -> Result<(), CudaError> {
        if self.events.contains_key(&event.addr()) { Ok(()) } else { Err(CudaError::INVALID_HANDLE) }
    }
}

/// # Safety
/// `stream` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut *mut c_void, flags: c_uint) -> c_int {
    answer(|driver| {
        driver.working()?;
        if flags > 1 {
            return Err(CudaError::INVALID_VALUE);
        }
        let handle = driver.new_handle();
        // SAFETY: the caller's promise.
        unsafe { give(stream, pointer(handle)) }?;
        driver.streams.insert(handle);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: *mut c_void) -> c_int {
    answer(|driver| {
        driver.working()?;
        if driver.streams.remove(&stream.addr()) { Ok(()) } else { Err(CudaError::INVALID_HANDLE) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: *mut c_void) -> c_int {
    answer(|driver| {
        driver.working()?;
        driver.check_stream(stream)?;
        driver.synchronizations += 1;
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: *mut c_void, event: *mut c_void, _flags: c_uint) -> c_int {
    answer(|driver| {
        driver.working()?;
        driver.check_stream(stream)?;
        driver.check_event(event)
    })
}

/// # Safety
/// `event` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: *mut *mut c_void, _flags: c_uint) -> c_int {
    answer(|driver| {
        driver.working()?;
        let handle = driver.new_handle();
        // SAFETY: the caller's promise.
        unsafe { give(event, pointer(handle)) }?;
        driver.events.insert(handle, None);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: *mut c_void, stream: *mut c_void) -> c_int {
    answer(|driver| {
        driver.working()?;
        driver.check_stream(stream)?;
        driver.check_event(event)?;
        driver.events.insert(event.addr(), Some(Instant::now()));
        Ok(())
    })
}

/// # Safety
/// `milliseconds` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime(
    milliseconds: *mut f32,
    start: *mut c_void,
    end: *mut c_void,
) -> c_int {
    answer(|driver| {
        driver.working()?;
        let recorded = |event: *mut c_void| driver.events.get(&event.addr()).copied().flatten();
        let (Some(start), Some(end)) = (recorded(start), recorded(end)) else {
            return Err(CudaError::INVALID_HANDLE);
        };
        // SAFETY: the caller's promise.
        unsafe { give(milliseconds, end.saturating_duration_since(start).as_secs_f32() * 1e3) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: *mut c_void) -> c_int {
    answer(|driver| {
        driver.working()?;
        driver.events.remove(&event.addr()).map(|_| ()).ok_or(CudaError::INVALID_HANDLE)
    })
}
