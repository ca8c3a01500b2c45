// SPDX-License-Identifier: Apache-2.0
import PulseProcess
import PulseServe
import PulseText
import PulseTopics
import PulseTransport
import PulseWire

/// Who a peer is.
extension HubConnection {
  /// How long before its end a peer is told that its token expires (s).
  private static let warning: Int64 = 30

  static func text(_ sentence: Sentence) -> [UInt8] { sentence.bytes }

  /// From whichever of the carriers has one.
  func token(_ request: Request, _ offer: UpgradeOffer) -> [UInt8]? {
    if let bearer = request.bearer { return Array(bearer) }
    if let token = offer.token { return token }
    return hub.options.tokenInURL ? request.query.value(of: "token") : nil
  }

  /// nil: it has shown none, and need not yet.
  func identify(_ request: Request, _ offer: UpgradeOffer) -> Result<HubIdentity?, Refusal> {
    if hub.options.auth == .none { return .success(nil) }
    guard let token = token(request, offer) else {
      // It would wait for the message `auth`, and nobody would know why.
      if hub.options.auth == .required, !hub.options.tokenInURL, request.query.value(of: "token") != nil {
        return .failure(.unauthenticated("a token in the URL is not taken here (option token_in_url)"))
      }
      return .success(nil)
    }
    switch hub.identify(token) {
    case .success(let identity): return .success(identity)
    case .failure(let problem):
      owner.noteFailure(self)
      return .failure(.token(problem))
    }
  }

  /// The message `auth`: of a peer that has to say who it is, or renews its token.
  func authenticate(_ token: [UInt8], id: [UInt8], _ peer: HubPeer) {
    if hub.options.auth == .none { return tell(peer, id, "not_expected", "no authentication is asked for here", []) }
    switch hub.identify(token) {
    case .failure(let problem):
      owner.noteFailure(self)
      tell(peer, id, problem.code, "\(problem.sentence)", [])
      if peer.awaitsToken { close(code: CloseCode.unauthenticated, HubConnection.text("\(problem.sentence)")) }
    case .success(let identity):
      if let present = peer.identity, present.user != identity.user {
        return tell(peer, id, "another_user", "a token is renewed by one of the same user", [])
      }
      if peer.userKey == nil, !countUser(identity, &peer.userKey) {
        return close(code: CloseCode.rate, HubConnection.text("this user has too many connections"))
      }
      identify(peer, as: identity)
      peer.awaitsToken = false
      peer.isWarned = false
      peer.reply(HubMessage.auth(id: id, user: identity.user, expires: identity.expires &* 1_000_000_000))
      leaveForbidden(peer)
      scheduleHeartbeat(peer)
      subscribeAtOpening(peer)
    }
  }

  /// False if the user has as many peers as he may have. Who has no name is not counted.
  func countUser(_ identity: HubIdentity?, _ key: inout AddressKey?) -> Bool {
    guard hub.addresses.limitsUsers, let identity, !identity.user.isEmpty else { return true }
    key = hub.addresses.join(identity.user, owner.host.loop.turnTime)
    if key == nil { owner.statistics.connectionsRefused &+= 1 }
    return key != nil
  }

  /// Finds out whom a proxy speaks for; why that one is refused, or nil.
  func identifyClient(_ request: Request) -> Refusal? {
    let peer = from.map { IPAddress($0) }
    var found: IPAddress?
    switch ForwardedFor.client(of: request.head, peer: peer, trusted: hub.trusted) {
    case .peer: break
    case .client(let address): found = address
    case .refused(let refusal): return refusal
    }
    // Who was refused is counted again with each request.
    if found == client, found == nil || key != nil || !hub.limitsAddresses { return nil }
    client = found
    guard hub.limitsAddresses, let found else { return nil }
    if let key { hub.addresses.disconnect(key) }
    key = nil
    let next = AddressKey(found)
    if case .tooMany(_, let seconds) = hub.addresses.connect(next, owner.host.loop.turnTime) {
      owner.statistics.connectionsRefused &+= 1
      return .tooMany("this address has or opens too many connections", retryAfter: seconds)
    }
    key = next
    return nil
  }

  // MARK: The end of a token

  /// False if the peer is closed for it.
  func tokenStillHolds(_ peer: HubPeer) -> Bool {
    guard let identity = peer.identity else { return true }
    let left = identity.expires &- Clock.realtime() / 1_000_000_000
    if left &+ hub.options.tokenLeeway / 1_000_000_000 <= 0 {
      close(code: CloseCode.tokenExpired, HubConnection.text("the token has expired"))
      return false
    }
    if left <= HubConnection.warning, !peer.isWarned {
      peer.isWarned = true
      if peer.isPulse { peer.reply(HubMessage.authExpiring(remaining: max(left, 0) &* 1_000_000_000)) }
    }
    return true
  }

  /// When to look at it again, on the monotonic clock.
  func tokenDeadline(_ peer: HubPeer) -> Int64 {
    guard let identity = peer.identity else { return .max }
    let now = Clock.realtime()
    let end = identity.expires &* 1_000_000_000
    let next = peer.isWarned ? end &+ hub.options.tokenLeeway : end &- HubConnection.warning &* 1_000_000_000
    // A clock that is set is found within a minute.
    return owner.host.loop.turnTime &+ min(max(next &- now, 0) &+ 1_000_000, 60_000_000_000)
  }
}
