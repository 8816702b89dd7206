//! CPU time of this process.

/// Seconds of CPU time used so far by all threads.
#[cfg(unix)]
pub fn seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Where there is no CPU clock at hand, seconds since the first call.
#[cfg(not(unix))]
pub fn seconds() -> f64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_secs_f64()
}

/// Does something several times, fewer when it takes long, and returns the median of the CPU
/// seconds it took, and what it made.
pub fn repeatedly<T, E>(mut make: impl FnMut() -> Result<T, E>) -> Result<(f64, T), E> {
    const TIMES: usize = 5;
    const SECONDS: f64 = 0.3;
    let mut all = Vec::new();
    loop {
        let before = seconds();
        let made = make()?;
        all.push(seconds() - before);
        // An odd number of times, so that there is a median.
        if all.len() % 2 == 1 && (all.len() == TIMES || all.iter().sum::<f64>() > SECONDS) {
            return Ok((median(&all), made));
        }
    }
}

/// The median.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
