// SPDX-License-Identifier: Apache-2.0

/// What to send next for the subscriptions.
package enum SubscriptionWork {
  /// Keys for the template of subscribe messages, in order.
  case subscribe([[UInt8]])
  /// Keys for the template of unsubscribe messages.
  case unsubscribe([[UInt8]])
  /// A message of the subscription's own.
  case text([UInt8], key: [UInt8], isUnsubscribe: Bool)
}

/// What came of adding a subscription.
package enum SubscriptionChange: UInt8, Sendable {
  case changed
  /// It was there, with the same texts.
  case unchanged
  /// A key has 1 to `SubscriptionSet.longestKey` bytes.
  case keyNotAllowed
  /// A text has at most `SubscriptionSet.longestText` bytes.
  case textTooLong
  /// There are `SubscriptionSet.mostKeys` already.
  case full
}

/// A message that subscribes and that waits for its answer.
package final class SubscriptionRequest {
  /// Tells it from all others of the set.
  let number: Int
  /// As the answer will have it; empty if that is not known.
  let id: [UInt8]
  let sentAt: Int64
  /// Those that are not answered yet. What became of them since, their entries know: those that have the number of this
  /// request are concerned.
  var keys: [[UInt8]]

  init(number: Int, id: [UInt8], sentAt: Int64, keys: [[UInt8]]) {
    self.number = number
    self.id = id
    self.sentAt = sentAt
    self.keys = keys
  }

  func has(_ key: UnsafeRawBufferPointer) -> Bool {
    for one in keys where PatternCapture.isText(key, one) { return true }
    return false
  }
}

/// A place in the set. Links are indices of other places, -1 for none.
struct SubscriptionEntry {
  var key: [UInt8]
  var hash: UInt32
  /// Own messages; nil for the template.
  var subscribe: [UInt8]?
  var unsubscribe: [UInt8]?
  /// Whether the application wants it; if not, it stays until the peer was told.
  var isWanted = true
  /// Whether the peer was told of it on this connection.
  var isSent = false
  /// Whether the latest that it was told is what `subscribe` says now.
  var isCurrent = false
  /// The request that waits for an answer and has it; 0 for none.
  var request = 0
  /// It goes out with its neighbours of the same group only; 0 for all that was never refused.
  var group = 0
  var queued = Queue.none
  /// Neighbours in the order of insertion.
  var before: Int32 = -1
  var after: Int32 = -1
  /// Neighbours in the queue of what is to be sent.
  var queuedBefore: Int32 = -1
  var queuedAfter: Int32 = -1

  enum Queue: UInt8 { case none, subscribe, unsubscribe }

  /// Its place is free: it holds nothing, and waits for no answer.
  mutating func clear() {
    key = []
    request = 0
    subscribe = nil
    unsubscribe = nil
  }
}
