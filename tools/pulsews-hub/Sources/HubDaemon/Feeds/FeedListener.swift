// SPDX-License-Identifier: Apache-2.0

/// Who wants to know how feeds and topics are doing. Called on the thread of `FeedWatch`: what takes time belongs elsewhere.
protocol FeedListener: Sendable {
  /// A feed's connection is ready, the first time or again; `feed`: the name of its section.
  func connected(_ feed: String)
  /// A topic has its first peer.
  func wanted(_ topic: String)
}
