// SPDX-License-Identifier: Apache-2.0

/// Who the peers are, and what they may publish, as the claims of their tokens say, which the hub has verified.
struct PeerBook {
  struct Rights: Equatable {
    let user: String
    /// Patterns of topics.
    let publish: [String]

    func mayPublish(_ topic: String) -> Bool { publish.contains { TopicName.matches($0, topic) } }
  }

  private var peers: [UInt64: Rights] = [:]

  /// A peer's token holds, its first one or a renewal; `claims`: a JSON object.
  mutating func authenticated(_ peer: UInt64, claims: [UInt8]) {
    peers[peer] = Rights(user: JSONScanner.text(claims, at: ["sub"]) ?? "", publish: JSONScanner.texts(claims, at: ["publish"]) ?? [])
  }

  mutating func closed(_ peer: UInt64) { peers[peer] = nil }

  subscript(peer: UInt64) -> Rights? { peers[peer] }

  var count: Int { peers.count }
}
