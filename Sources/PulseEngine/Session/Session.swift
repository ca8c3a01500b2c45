// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// Login and subscriptions of one connection, from its begin until messages flow, and what the server answers.
///
/// - The login is sent first. The application may hold it, to send a login of its own; it is over when the hold is, and when
///   the server has confirmed it, where options say how. A login that is not confirmed in time ends the connection.
/// - Then the subscriptions are sent, in order, with the pauses between them that options ask for, and those that the
///   application adds or ends later in the same way. The session is ready when nothing is left to send or to be confirmed.
/// - Answers count while they are waited for; by their id or key they belong to one request, else to the oldest. All else is
///   data. A server that only rejects has its time to do so: then silence means yes.
/// - A rejected login, or a rejected subscription that nobody can name, is a reason to leave; a key that is rejected by name is
///   dropped, and the others go on.
///
/// Texts go out as its owner asks for them (`begin`, `next`), at its pace. Not thread safe; its owner locks.
package final class Session {
  /// What options say of it. Times in nanoseconds.
  package final class Rules {
    package var login: [Template] = []
    package var loginConfirm = PatternList()
    package var loginReject = PatternList()
    package var loginTimeout: Int64 = 10_000_000_000
    package var subscribeMessage: Template?
    package var unsubscribeMessage: Template?
    package var subscribeConfirm = PatternList()
    package var subscribeReject = PatternList()
    package var subscribeTimeout: Int64 = 10_000_000_000
    package var subscribeInterval: Int64 = 0
    /// Keys of one message.
    package var subscribeBatch = 1
    /// Whatever subscription is rejected, the connection is left.
    package var rejectionLeaves = false
    package var heartbeatReply = PatternList()
    package var serverHeartbeat = PatternList()
    package var heartbeatRequest = PatternList()
    package var rotateOn = PatternList()

    package init() {}
  }

  /// How far the connection is from taking the application's messages.
  package enum Stage {
    /// It is not open yet.
    case none
    /// The login is sent, and the application may have more to do for it.
    case login(isConfirmed: Bool)
    case confirming(until: Int64)
    case subscribing
    case ready(since: Int64)
  }

  package enum Problem {
    case loginNotConfirmed
    /// So many messages that subscribe.
    case notConfirmed(Int)
  }

  /// Of the texts of a login so much is kept: it has the keys, which must not get into a log when a server repeats them.
  private static let longestLogin = 16 << 10

  let rules: Rules
  private let texts: OwnTexts
  private let points: ResumePoints?
  package internal(set) var stage = Stage.none
  /// Those of the application, as this connection has them; nil until it is open.
  package private(set) var subscriptions: SubscriptionSet?
  /// Of the messages of the login, as their answers will have them; empty if no id is known.
  var loginIDs: [[UInt8]] = []
  /// What the login has sent, up to a size.
  package private(set) var loginTexts: [UInt8] = []
  /// Without `login_confirm`: until then the server may still reject it.
  var loginUntil: Int64 = 0
  private var nextSubscribeAt: Int64 = 0

  package init(_ rules: Rules, _ texts: OwnTexts, _ points: ResumePoints?) {
    self.rules = rules
    self.texts = texts
    self.points = points
  }

  package var isReady: Bool { if case .ready = stage { true } else { false } }

  /// When messages began to flow; 0 before.
  package var readyAt: Int64 { if case .ready(let time) = stage { time } else { 0 } }

  /// The application may still send a login.
  package var isLogin: Bool { if case .login = stage { true } else { false } }

  /// Subscriptions may be sent, or have been.
  package var subscribes: Bool {
    switch stage {
    case .none, .login, .confirming: false
    case .subscribing, .ready: true
    }
  }

  // MARK: Steps

  /// The connection is open, and these are wanted. What is to be sent for the login.
  package func begin(_ wanted: SubscriptionSet, realtime: Int64) -> [[UInt8]] {
    wanted.beginConnection()
    subscriptions = wanted
    stage = .login(isConfirmed: false)
    var sent: [[UInt8]] = []
    for template in rules.login {
      let text = texts.render(template, realtime)
      note(login: text)
      sent.append(text)
    }
    return sent
  }

  /// A text of the login goes out, or one of the application's in its place.
  package func note(login text: [UInt8]) {
    let id = requestID(text, rules.loginConfirm, rules.loginReject)
    if !id.isEmpty { loginIDs.append(id) }
    if rules.loginReject.isEmpty || loginTexts.count >= Session.longestLogin { return }
    for byte in text { loginTexts.append(byte) }
    loginTexts.append(0x20)
  }

  private func requestID(_ text: [UInt8], _ confirm: PatternList, _ reject: PatternList) -> [UInt8] {
    let id = confirm.requestID(of: text)
    return id.isEmpty ? reject.requestID(of: text) : id
  }

  /// The login is over, as far as the application goes.
  package func loggedIn(_ now: Int64) {
    guard case .login(let isConfirmed) = stage else { return }
    loginUntil = saturatingSum(now, rules.loginTimeout)
    stage = isConfirmed || rules.loginConfirm.isEmpty ? .subscribing : .confirming(until: loginUntil)
  }

  /// True if messages flow from now on: all is sent, and confirmed.
  package func becomesReady(_ now: Int64) -> Bool {
    guard case .subscribing = stage, pending == 0, awaited == 0 else { return false }
    stage = .ready(since: now)
    return true
  }

  // MARK: Subscriptions

  /// Keys for which there is something to send.
  package var pending: Int { subscriptions?.pending ?? 0 }

  /// Messages whose confirmation is waited for.
  private var awaited: Int { rules.subscribeConfirm.isEmpty ? 0 : subscriptions?.waiting ?? 0 }

  /// The next message has to wait until then.
  package func pause(_ now: Int64) -> Int64? { now < nextSubscribeAt ? nextSubscribeAt : nil }

  /// What to send next; empty if there is nothing to say.
  package func next(_ now: Int64, realtime: Int64) -> [UInt8] {
    guard let subscriptions, let work = subscriptions.next(batch: rules.subscribeBatch) else { return [] }
    var text: [UInt8] = []
    var subscribed: [[UInt8]] = []
    switch work {
    case .subscribe(let keys):
      subscribed = keys
      if let template = rules.subscribeMessage {
        text = texts.render(template, realtime, keys: keys)
      } else if let points {
        points.appendSubscribe(keys, id: texts.number(), to: &text)
      }
    case .unsubscribe(let keys):
      if let template = rules.unsubscribeMessage { text = texts.render(template, realtime, keys: keys) }
    case .text(let own, let key, let isUnsubscribe):
      text = own
      if !isUnsubscribe { subscribed.append(key) }
    }
    if rules.subscribeInterval > 0 { nextSubscribeAt = saturatingSum(now, rules.subscribeInterval) }
    if !subscribed.isEmpty && !(rules.subscribeConfirm.isEmpty && rules.subscribeReject.isEmpty) {
      subscriptions.awaitAnswer(subscribed, id: requestID(text, rules.subscribeConfirm, rules.subscribeReject), now: now)
    }
    return text
  }

  // MARK: Time

  /// When `problem` is to be looked for; `.max` for never.
  package var deadline: Int64 {
    switch stage {
    case .none, .login: return .max
    case .confirming(let until): return until
    case .subscribing, .ready:
      guard awaited > 0, let oldest = subscriptions?.waitingSince else { return .max }
      return saturatingSum(oldest, rules.subscribeTimeout)
    }
  }

  /// What has not come in time.
  package func problem(_ now: Int64) -> Problem? {
    if now < deadline { return nil }
    if case .confirming = stage { return .loginNotConfirmed }
    return awaited > 0 ? .notConfirmed(awaited) : nil
  }

  /// A server that confirms nothing has its time to reject.
  func endWaiting(_ now: Int64) {
    if rules.subscribeConfirm.isEmpty { subscriptions?.endWaiting(before: now &- rules.subscribeTimeout) }
  }
}
