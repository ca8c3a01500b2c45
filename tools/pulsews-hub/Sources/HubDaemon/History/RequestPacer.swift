// SPDX-License-Identifier: Apache-2.0

/// When an exchange may be asked again: a value, told the time (monotonic ns).
struct RequestPacer {
  static let mostAtOnce = 2
  private static let second: Int64 = 1_000_000_000
  /// Where a refusal does not say how long.
  private static let defaultBan = 60 * second
  private static let longestBan = 3 * 86_400 * second

  /// Between the begins of two requests.
  var pause: Int64
  private var running = 0
  private var nextBegin: Int64 = 0

  init(pause: Int64) { self.pause = pause }

  /// When the next may begin; nil: not before another has ended.
  var opens: Int64? { running < RequestPacer.mostAtOnce ? nextBegin : nil }

  func mayBegin(_ now: Int64) -> Bool { opens.map { $0 <= now } ?? false }

  mutating func begin(_ now: Int64) {
    running += 1
    nextBegin = max(nextBegin, now + pause)
  }

  mutating func end() { running = max(0, running - 1) }

  /// Of seconds that an exchange asks to wait (ns).
  static func time(_ seconds: Int64?) -> Int64? { seconds.map { min(max($0, 0), longestBan / second) * second } }

  /// Too many requests (429, 418): nobody asks before that time is over, which it returns (ns). `retryAfter` in seconds.
  mutating func refused(retryAfter: Int64?, _ now: Int64) -> Int64 {
    let ban = max(RequestPacer.time(retryAfter) ?? RequestPacer.defaultBan, RequestPacer.second)
    nextBegin = max(nextBegin, now + ban)
    return ban
  }
}
