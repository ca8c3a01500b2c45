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
  var queued = Queue.none
  /// Neighbours in the order of insertion.
  var before: Int32 = -1
  var after: Int32 = -1
  /// Neighbours in the queue of what is to be sent.
  var queuedBefore: Int32 = -1
  var queuedAfter: Int32 = -1

  enum Queue: UInt8 { case none, subscribe, unsubscribe }
}
