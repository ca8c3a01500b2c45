// SPDX-License-Identifier: Apache-2.0

/// The sum, or the largest time there is. Times and durations come from options, headers and peers: a sum of two of
/// them must not trap.
package func saturatingSum(_ time: Int64, _ duration: Int64) -> Int64 {
  let (sum, overflow) = time.addingReportingOverflow(duration)
  if !overflow { return sum }
  return duration < 0 ? .min : .max
}

/// A value from 0 through `limit`, each as likely as the others as far as 64 random bits can tell.
func scaled(_ random: UInt64, through limit: Int64) -> Int64 {
  if limit <= 0 { return 0 }
  return Int64(truncatingIfNeeded: random.multipliedFullWidth(by: UInt64(limit) &+ 1).high)
}
