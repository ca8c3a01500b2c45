// SPDX-License-Identifier: Apache-2.0

/// Who wants to know how feeds and topics are doing. Called on the thread of `FeedWatch`: what takes time belongs elsewhere.
protocol FeedListener: Sendable {
  /// A feed's connection is ready, the first time or again, or no longer silent; `feed`: the name of its section; `openedAt`: since
  /// when its data come (ns since 1970).
  func connected(_ feed: String, openedAt: Int64)
  /// It has none, or it is silent.
  func lost(_ feed: String)
  /// A topic has its first peer.
  func wanted(_ topic: String)
}
