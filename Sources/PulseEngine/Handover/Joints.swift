// SPDX-License-Identifier: Apache-2.0
import PulseFlow

/// Where a successor has begun: by key the number that the connection before it has to come up to, which is the one before
/// the first that the successor has brought.
package struct Joints {
  private var numbers: [Int64] = []
  /// The keys for which it has not, as far as is known.
  private var open: [Int] = []

  package init() {}

  mutating func note(_ number: FeedNumber, _ rule: SequenceCheck.Rule) {
    while number.key >= numbers.count { numbers.append(.min) }
    if numbers[number.key] != .min { return }
    open.append(number.key)
    switch rule {
    case .previous: numbers[number.key] = number.previous ?? -1
    case .increasing: numbers[number.key] = number.first
    case .consecutive: numbers[number.key] = number.first &- 1
    }
  }

  /// `last`: the last number of a key that was brought.
  mutating func areReached(_ last: (Int) -> Int64?) -> Bool {
    while let key = open.last {
      if let last = last(key), last < numbers[key] { return false }
      open.removeLast()
    }
    return true
  }
}
