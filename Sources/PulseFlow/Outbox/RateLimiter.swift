// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Exact sliding windows, several at once: in any span of a window's duration no more is admitted than it allows.
/// Memory grows with use up to one time for each of the largest count; after that nothing is allocated.
package struct RateLimiter {
  package typealias Window = RateWindow

  private let windows: [Window]
  private var slots = SlotRing()
  private var largestCount = 1
  private var longestDuration: Int64 = 1

  package init(windows: [Window] = []) {
    self.windows = windows
    for window in windows {
      largestCount = max(largestCount, window.count)
      longestDuration = max(longestDuration, window.duration)
    }
  }

  package var isUnlimited: Bool { windows.isEmpty }

  /// Takes a slot if every window has room.
  package mutating func admit(_ now: Int64) -> Bool {
    if readyAt(now) > now { return false }
    note(now)
    return true
  }

  /// The earliest time at which `admit` would succeed; `now` if it would at once.
  package func readyAt(_ now: Int64) -> Int64 {
    var ready = now
    for index in 0..<windows.count { ready = max(ready, slots.readyAt(now, windows[index]) ?? now) }
    return ready
  }

  /// Takes a slot whether there is room or not, for what must go out (a pong): what follows waits for it.
  package mutating func note(_ now: Int64) {
    if !isUnlimited { slots.take(now, count: largestCount, duration: longestDuration) }
  }

  package mutating func reset() { slots.removeAll() }

  /// "100/60s", "5/1s", "300/5m", "10/s", "20/500ms": a count from 1 to 100000 and a duration from 1 ms to 1 day in
  /// whole ms, s, m, h or d. Anything else gives nil.
  package static func parse(_ text: String) -> Window? {
    var count = 0
    var length: Int64 = 0
    var countDigits = 0
    var lengthDigits = 0
    var isBehindSlash = false
    var first: UInt8 = 0
    var second: UInt8 = 0
    for byte in text.bytes {
      let digit = byte &- 0x30
      if second != 0 || byte == 0 { return nil }
      if first != 0 {
        second = byte
      } else if digit <= 9 && !isBehindSlash {
        count = count * 10 + Int(digit)
        countDigits += 1
        if count > Window.maximumCount || countDigits > 6 { return nil }
      } else if digit <= 9 {
        length = length * 10 + Int64(digit)
        lengthDigits += 1
        if lengthDigits > 8 { return nil }
      } else if byte == 0x2F && !isBehindSlash {
        isBehindSlash = true
      } else if isBehindSlash {
        first = byte
      } else {
        return nil
      }
    }
    let unit: Int64
    switch (first, second) {
    case (0x6D, 0x73): unit = 1_000_000
    case (0x73, 0): unit = 1_000_000_000
    case (0x6D, 0): unit = 60_000_000_000
    case (0x68, 0): unit = 3_600_000_000_000
    case (0x64, 0): unit = 86_400_000_000_000
    default: return nil
    }
    if lengthDigits == 0 { length = 1 }
    if count == 0 || length == 0 || length > Window.maximumDuration / unit { return nil }
    return Window(count: count, duration: length * unit)
  }
}
