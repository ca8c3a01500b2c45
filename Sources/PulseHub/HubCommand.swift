// SPDX-License-Identifier: Apache-2.0
import PulseServe
import PulseTopics
import PulseTransport

/// What another thread asks a loop for.
final class HubCommand: @unchecked Sendable {  // handed over under the lock of the inbox
  enum Kind {
    /// A message apart from all topics, to one peer or (number 0) to all of them.
    case send(SharedFrame)
    case close(UInt16, [UInt8])
    case subscribe(HubTopic)
    case unsubscribe(HubTopic)
    case answer(Response)
    case adopt(TCPStream, SocketAddress?, [UInt8])
    /// How fresh a topic is has changed.
    case topicState(HubTopic)
    case drain(Int64)
    case resume
  }

  let kind: Kind
  /// The number of a peer or of a request.
  let number: UInt64

  @inline(never) init(_ kind: Kind, _ number: UInt64 = 0) {
    self.kind = kind
    self.number = number
  }
}

/// What other threads leave for a loop: commands, and topics that have something to read.
struct HubInbox {
  var commands: [HubCommand] = []
  var topics: [HubTopic] = []
  var isPosted = false
}
