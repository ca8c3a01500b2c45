// SPDX-License-Identifier: Apache-2.0

/// Who the peers are, and what they may publish, as their tokens say. The hub has verified a token before it asks whether its
/// peer may connect; what is read here is only what is in it.
struct PeerBook {
  struct Rights: Equatable {
    let user: String
    /// Patterns of topics.
    let publish: [String]

    func mayPublish(_ topic: String) -> Bool { publish.contains { TopicName.matches($0, topic) } }
  }

  private var asking: [(peer: UInt64, rights: Rights)] = []
  private var peers: [UInt64: Rights] = [:]
  /// Of the upgrades that were asked about and came to nothing, no event tells: so many are kept.
  private static let mostAsking = 4096

  /// A peer that wants to connect, with the token that it shows.
  mutating func asks(_ peer: UInt64, token: String) {
    guard let rights = PeerBook.rights(token) else { return }
    if asking.count >= PeerBook.mostAsking { asking.removeFirst(PeerBook.mostAsking / 2) }
    asking.append((peer, rights))
  }

  mutating func connected(_ peer: UInt64) {
    guard let index = asking.lastIndex(where: { $0.peer == peer }) else { return }
    peers[peer] = asking.remove(at: index).rights
  }

  mutating func closed(_ peer: UInt64) { peers[peer] = nil }

  subscript(peer: UInt64) -> Rights? { peers[peer] }

  var count: Int { peers.count }

  /// The claims of a JSON Web Token whose signature was verified.
  static func rights(_ token: String) -> Rights? {
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, let payload = Base64URL.decode(parts[1]), JSONScanner.isObject(payload) else { return nil }
    return Rights(user: JSONScanner.text(payload, at: ["sub"]) ?? "", publish: JSONScanner.texts(payload, at: ["publish"]) ?? [])
  }
}
