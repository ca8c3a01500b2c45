// SPDX-License-Identifier: Apache-2.0
import PulseFlow

/// What is known of messages by their keys and numbers, if options ask for that. Not thread safe; its owner locks.
package final class Feed {
  let reader: FieldReader
  /// Of `key_path`.
  let keys: KeyTable?
  /// Of `sequence_key`; without it all messages have the key 0.
  let sequenceKeys: KeyTable?
  package let rule: SequenceCheck.Rule
  private let hasNumbers: Bool
  private let hasLast: Bool
  private let hasPrevious: Bool
  /// Of the feed; those of a connection are the connection's.
  var check: SequenceCheck
  var staleness: KeyStaleness?
  /// A new connection may bring what another one has brought: of each key, until its first new number.
  private var generation: UInt32 = 0
  private var generations: [UInt32] = []
  private var copiesEnd = Int64.min
  /// When that time was over a message was still behind: those before it may have been no copies.
  var isBehind = false
  private let copiesTime: Int64
  /// Two connections bring the messages all the time.
  private let isOfTwins: Bool
  var isFull = false

  /// The message that was read last: its place in the feed, and the number of its key.
  package private(set) var number: FeedNumber?
  private(set) var key = -1

  /// nil if there is nothing to know.
  static func make(_ rules: Inbound.Rules, seed: @autoclosure () -> (UInt64, UInt64)) -> Feed? {
    var numbers = rules.sequencePath
    if let previous = rules.sequencePrevious, !numbers.isEmpty { numbers.append(previous) }
    let wantsKeys = !rules.keyPath.isEmpty && (rules.policy == .conflate || rules.staleKeyTimeout > 0)
    if numbers.isEmpty && !wantsKeys { return nil }
    guard
      let reader = FieldReader(
        keys: wantsKeys ? rules.keyPath : [], sequenceKeys: numbers.isEmpty ? [] : rules.sequenceKey,
        numbers: numbers)
    else { return nil }
    return Feed(rules, reader, hasNumbers: !numbers.isEmpty, wantsKeys: wantsKeys, seed: seed())
  }

  private init(
    _ rules: Inbound.Rules, _ reader: FieldReader, hasNumbers: Bool, wantsKeys: Bool, seed: (UInt64, UInt64)
  ) {
    self.reader = reader
    keys = wantsKeys ? KeyTable(seed: seed.0) : nil
    sequenceKeys = rules.sequenceKey.isEmpty || !hasNumbers ? nil : KeyTable(seed: seed.1)
    self.hasNumbers = hasNumbers
    hasLast = rules.sequencePath.count > 1
    hasPrevious = hasNumbers && rules.sequencePrevious != nil
    rule = hasPrevious ? .previous : rules.isIncreasing ? .increasing : .consecutive
    check = SequenceCheck(rule: rule)
    copiesTime = max(rules.rotationOverlap, FeedMerge.restartTime)
    isOfTwins = rules.hasTwin
    if wantsKeys && rules.staleKeyTimeout > 0 { staleness = KeyStaleness(timeout: rules.staleKeyTimeout) }
  }

  var keyCount: Int { (keys?.count ?? 0) &+ (sequenceKeys?.count ?? 0) }

  /// Looks at a message; `number` and `key` then are those of this one.
  package func read(_ payload: UnsafeRawBufferPointer) {
    number = nil
    key = -1
    reader.read(payload)
    if reader.found == 0 { return }
    if let keys, let text = reader.key(.key) {
      key = keys.index(of: text)
      if key < 0 { isFull = true }
    }
    guard hasNumbers, let first = reader.number(0) else { return }
    var last = first
    if hasLast {
      guard let end = reader.number(1) else { return }
      last = end
    }
    var place = 0
    if let sequenceKeys {
      // Without the key it belongs to no sequence.
      guard let text = reader.key(.sequenceKey) else { return }
      place = sequenceKeys.index(of: text)
      if place < 0 {
        isFull = true
        return
      }
    }
    number = FeedNumber(
      key: place, first: first, last: last, previous: hasPrevious ? reader.number(hasLast ? 2 : 1) : nil)
  }

  /// The text of a sequence key.
  func sequenceKey(_ index: Int) -> UnsafeRawBufferPointer {
    sequenceKeys?.key(index) ?? UnsafeRawBufferPointer(start: nil, count: 0)
  }

  // MARK: Another connection

  package func startGeneration(_ now: Int64) {
    generation &+= 1
    copiesEnd = saturatingSum(now, copiesTime)
  }

  /// The message's place as it is to be judged; nil for one that another connection has brought already.
  ///
  /// One connection may cut the changes into messages otherwise than the other: what both have of the first one then is
  /// no step back. And a server that numbers anew must not be taken for copies for ever.
  func admit(_ number: FeedNumber, now: Int64) -> FeedNumber? {
    if isOfTwins { return joined(number) }
    if generation == 0 || number.key < 0 { return number }
    while number.key >= generations.count { generations.append(0) }
    if generations[number.key] == generation { return number }
    if let last = check.last(number.key), number.last <= last {
      if now < copiesEnd { return nil }
      isBehind = true
    }
    generations[number.key] = generation
    return joined(number)
  }

  @inline(never)
  private func joined(_ number: FeedNumber) -> FeedNumber {
    guard let last = check.last(number.key), number.last > last else { return number }
    var number = number
    if number.first <= last { number.first = last &+ 1 }
    if let previous = number.previous, previous < last { number.previous = last }
    return number
  }

  /// A successor has brought the message that was read.
  package func noteJoint(in joints: inout Joints) {
    guard let number, number.key >= 0 else { return }
    joints.note(number, rule)
  }

  /// Whether what comes before that has been brought.
  package func hasReached(_ joints: inout Joints) -> Bool { joints.areReached { check.last($0) } }
}
