// SPDX-License-Identifier: Apache-2.0

/// Whether the numbers of a feed's messages follow each other, for each sequence key on its own. Not thread safe; its
/// owner locks.
package struct SequenceCheck {
  package enum Rule {
    /// The first number is the one after the last one.
    case consecutive
    /// The first number is greater than the last one.
    case increasing
    /// The message names the number before it.
    case previous
  }

  package enum Verdict: Equatable {
    /// There is nothing to compare with.
    case first
    case fine
    /// `missing` is -1 where it can't be known. With `Rule.previous` a message is missing that ends with a number
    /// above `expected` and up to the one that the message names.
    case gap(expected: Int64, missing: Int64)
    case repeated
    /// Below `last`, or partly: it begins there and ends above it.
    case stepBack(last: Int64)
  }

  package let rule: Rule
  /// By the number of the key; -1 before the first message.
  private var lasts: [Int64] = []

  package init(rule: Rule) { self.rule = rule }

  /// Forgets all numbers.
  package mutating func reset() { lasts.removeAll(keepingCapacity: true) }

  /// The highest number so far; nil before the first message.
  package func last(_ key: Int) -> Int64? { key >= 0 && key < lasts.count && lasts[key] >= 0 ? lasts[key] : nil }

  /// `key` is dense, as `KeyTable` numbers them; with -1, a key that is not tracked, there is nothing to compare with.
  /// With `Rule.previous` a message without that number begins anew: so feeds mark a snapshot.
  package mutating func judge(_ key: Int, first: Int64, last: Int64, previous: Int64?) -> Verdict {
    if key < 0 || first < 0 || last < 0 { return .first }
    while key >= lasts.count { lasts.append(-1) }
    let low = first < last ? first : last
    let high = first < last ? last : first
    let before = lasts[key]
    if before < 0 {
      lasts[key] = high
      return .first
    }
    if rule == .previous {
      guard let previous else {
        lasts[key] = high
        return .first
      }
      // A feed that starts its numbers anew says so in this way, too.
      if previous == before {
        lasts[key] = high
        return .fine
      }
      if high > before { lasts[key] = high }
      if high == before { return .repeated }
      if high < before || previous < before { return .stepBack(last: before) }
      return .gap(expected: before, missing: -1)
    }
    if high > before { lasts[key] = high }
    if low > before {
      // `before` is not the largest number, so 1 can be added.
      let expected = before &+ 1
      if rule == .increasing || low == expected { return .fine }
      return .gap(expected: expected, missing: low &- expected)
    }
    return high == before ? .repeated : .stepBack(last: before)
  }
}
