// SPDX-License-Identifier: Apache-2.0
import PulseProcess
import PulseServe
import PulseText
import PulseTopics
import PulseTransport
import PulseWire

/// Who a peer is, as its token says it.
final class HubIdentity: @unchecked Sendable {  // guarded by the mutex of its peer's loop
  let user: [UInt8]
  /// The claims as JSON, until they are told.
  fileprivate var claims: [UInt8]
  /// Seconds since 1970.
  let expires: Int64
  /// nil: the token does not say.
  private let topics: [TopicPattern]?
  private let publish: [TopicPattern]

  init(_ claims: TokenClaims) {
    user = claims.user
    self.claims = claims.text
    expires = claims.expires
    topics = claims.topics.map { HubIdentity.patterns($0) }
    publish = HubIdentity.patterns(claims.publish)
  }

  /// What is no pattern grants nothing.
  private static func patterns(_ texts: [[UInt8]]) -> [TopicPattern] {
    var patterns: [TopicPattern] = []
    for text in texts {
      if let pattern = TopicPattern(text) { patterns.append(pattern) }
    }
    return patterns
  }

  func maySubscribe(_ name: [UInt8]) -> Bool { HubIdentity.matches(topics ?? [], name) }
  func mayPublish(_ name: [UInt8]) -> Bool { HubIdentity.matches(publish, name) }

  private static func matches(_ patterns: [TopicPattern], _ name: [UInt8]) -> Bool {
    for pattern in patterns where pattern.matches(name) { return true }
    return false
  }
}

extension HubConnection {
  /// The peer is who its token says, from here on.
  func identify(_ peer: HubPeer, as identity: HubIdentity) {
    peer.identity = identity
    if hub.options.events.contains(.authenticated) {
      let event = HubEvent(.authenticated, peer: number)
      event.route = HubEvent.text(peer.route.path)
      event.text = HubEvent.text(identity.user)
      event.data = identity.claims
      hub.events.append(event)
    }
    identity.claims = []
  }
}

extension TopicAccess {
  /// Why somebody may not subscribe to a topic of this kind; nil if he may.
  func refusal(_ identity: HubIdentity?, _ name: [UInt8]) -> Sentence? {
    switch self {
    case .anyone: return nil
    case .authenticated: return identity == nil ? "this topic wants a token" : nil
    case .granted:
      guard let identity else { return "this topic wants a token" }
      return identity.maySubscribe(name) ? nil : "the token does not name this topic among those that may be subscribed"
    }
  }
}

extension Hub {
  /// Who the token is of.
  func identify(_ token: [UInt8]) -> Result<HubIdentity, TokenProblem> {
    let verdict = keys.verify(
      token[...], now: Clock.realtime() / 1_000_000_000, leeway: options.tokenLeeway / 1_000_000_000,
      audience: options.tokenAudience, issuer: options.tokenIssuer)
    switch verdict {
    case .success(let claims): return .success(HubIdentity(claims))
    case .failure(let problem): return .failure(problem)
    }
  }
}
