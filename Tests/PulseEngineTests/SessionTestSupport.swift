// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func patterns(_ lines: String) throws -> PatternList {
  guard case .success(let list) = PatternList.parse(lines: bytes(lines)) else { throw NoPath(text: lines) }
  return list
}

func template(_ text: String) throws -> Template {
  guard case .success(let template) = Template.parse(bytes(text)) else { throw NoPath(text: text) }
  return template
}

/// A connection around a `Session`, with a peer that the tests play.
final class FakeSession {
  let rules = Session.Rules()
  let wanted = SubscriptionSet()
  let texts = OwnTexts()
  private(set) lazy var session = Session(rules, texts, points)
  var points: ResumePoints?
  var now: Int64 = second
  /// What was sent, in order.
  private(set) var sent: [String] = []

  init() {}

  init(_ change: (Session.Rules) throws -> Void) rethrows { try change(rules) }

  func want(_ keys: String...) { for key in keys { _ = wanted.add(key: bytes(key), subscribe: nil, unsubscribe: nil) } }

  func begin() { for text in session.begin(wanted, realtime: 0) { sent.append(String(decoding: text, as: UTF8.self)) } }

  /// Sends all that may go now, and says whether messages flow from now on.
  @discardableResult
  func advance() -> Bool {
    session.loggedIn(now)
    while session.subscribes && session.pending > 0 && session.pause(now) == nil {
      sent.append(String(decoding: session.next(now, realtime: 0), as: UTF8.self))
    }
    return session.becomesReady(now)
  }

  func answer(_ text: String) -> String {
    bytes(text).withUnsafeBytes { payload in
      switch session.answer(payload, now) {
      case .none: "data"
      case .loginConfirmed: "login"
      case .loginRejected: "no login"
      case .subscribed: "subscribed"
      case .keyRejected(let key): "not \(String(decoding: key, as: UTF8.self))"
      case .subscriptionRejected: "rejected"
      }
    }
  }

  func heartbeat(_ text: String) -> Session.Heartbeat { bytes(text).withUnsafeBytes { session.heartbeat($0) } }

  var stage: String {
    switch session.stage {
    case .none: "none"
    case .login(let isConfirmed): isConfirmed ? "login confirmed" : "login"
    case .confirming: "confirming"
    case .subscribing: "subscribing"
    case .ready: "ready"
    }
  }

  var problem: String {
    switch session.problem(now) {
    case nil: "none"
    case .loginNotConfirmed: "login"
    case .notConfirmed(let count): "\(count) not confirmed"
    }
  }

  func takeSent() -> [String] {
    defer { sent = [] }
    return sent
  }
}
