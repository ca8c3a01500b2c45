// SPDX-License-Identifier: Apache-2.0
import CPulseSys

package enum Clock {
  /// Nanoseconds of a clock that never jumps; the zero point means nothing.
  @inline(__always) package static func monotonic() -> Int64 { psys_monotonic_ns() }
  /// Nanoseconds since 1970-01-01T00:00:00Z.
  @inline(__always) package static func realtime() -> Int64 { psys_realtime_ns() }

  /// `start + duration`, held at the last moment there is; a negative duration means no end.
  package static func deadline(_ start: Int64, after duration: Int64) -> Int64 {
    if duration < 0 { return .max }
    let (sum, overflow) = start.addingReportingOverflow(duration)
    return overflow ? .max : sum
  }
}
