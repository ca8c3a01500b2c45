// SPDX-License-Identifier: Apache-2.0
import PulseFlow

/// What a client knows of the messages by their keys and numbers, if options ask for that. Guarded as its client.
final class Feed {
  let reader: FieldReader
  /// Of `key_path`.
  let keys: KeyTable?
  /// Of `sequence_key`; without it all messages have the key 0.
  let sequenceKeys: KeyTable?
  let rule: SequenceCheck.Rule
  private let hasNumbers: Bool
  private let hasLast: Bool
  private let hasPrevious: Bool
  /// Of the feed; those of a connection are the connection's.
  var check: SequenceCheck
  var staleness: KeyStaleness?
  /// A new connection may bring what another one has brought: of each key, until its first new number.
  private var generation: UInt32 = 0
  private var generations: [UInt32] = []
  var isFull = false

  /// The message that was read last: its place in the feed, and the number of its key.
  private(set) var number: FeedNumber?
  private(set) var key = -1

  /// nil if there is nothing to know.
  static func make(_ options: ClientOptions, seed: (UInt64, UInt64)) -> Feed? {
    var numbers = options.sequencePath
    if let previous = options.sequencePrevious, !numbers.isEmpty { numbers.append(previous) }
    let wantsKeys = !options.keyPath.isEmpty && (options.receiveQueuePolicy == .conflate || options.staleKeyTimeout > 0)
    if numbers.isEmpty && !wantsKeys { return nil }
    guard
      let reader = FieldReader(
        keys: wantsKeys ? options.keyPath : [], sequenceKeys: numbers.isEmpty ? [] : options.sequenceKey,
        numbers: numbers)
    else { return nil }
    return Feed(options, reader, numbers, wantsKeys: wantsKeys, seed: seed)
  }

  private init(
    _ options: ClientOptions, _ reader: FieldReader, _ numbers: [JSONPath], wantsKeys: Bool, seed: (UInt64, UInt64)
  ) {
    self.reader = reader
    keys = wantsKeys ? KeyTable(seed: seed.0) : nil
    sequenceKeys = options.sequenceKey.isEmpty || numbers.isEmpty ? nil : KeyTable(seed: seed.1)
    hasNumbers = !numbers.isEmpty
    hasLast = options.sequencePath.count > 1
    hasPrevious = hasNumbers && options.sequencePrevious != nil
    rule = hasPrevious ? .previous : options.sequenceIncreases ? .increasing : .consecutive
    check = SequenceCheck(rule: rule)
    if wantsKeys && options.staleKeyTimeout > 0 { staleness = KeyStaleness(timeout: options.staleKeyTimeout) }
  }

  var keyCount: Int { (keys?.count ?? 0) &+ (sequenceKeys?.count ?? 0) }

  /// Looks at a message; `number` and `key` then are those of this one.
  func read(_ payload: UnsafeRawBufferPointer) {
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

  func startGeneration() { generation &+= 1 }

  /// Whether another connection has brought it already.
  func isCopy(_ number: FeedNumber) -> Bool {
    if generation == 0 || number.key < 0 { return false }
    while number.key >= generations.count { generations.append(0) }
    if generations[number.key] == generation { return false }
    if let last = check.last(number.key), number.last <= last { return true }
    generations[number.key] = generation
    return false
  }
}
