// SPDX-License-Identifier: Apache-2.0
import PulseFlow

/// What a message is, if it is more than data.
extension Session {
  package enum Heartbeat {
    case none
    /// The answer to one of this side.
    case reply
    /// One of the server, which wants no answer.
    case server
    /// One of the server that is to be answered.
    case request
  }

  package enum Answer {
    /// The message is data.
    case none
    /// The session may go on; the message is data all the same.
    case loginConfirmed
    case subscribed
    case keyRejected([UInt8])
    /// The connection is to be left: the message says why.
    case loginRejected
    case subscriptionRejected
  }

  package func heartbeat(_ payload: UnsafeRawBufferPointer) -> Heartbeat {
    if rules.heartbeatReply.matches(payload) { return .reply }
    if rules.serverHeartbeat.matches(payload) { return .server }
    return rules.heartbeatRequest.matches(payload) ? .request : .none
  }

  /// The server says that the connection is to end.
  package func isNotice(_ payload: UnsafeRawBufferPointer) -> Bool { rules.rotateOn.matches(payload) }

  /// Answers count while they are waited for.
  package func answer(_ payload: UnsafeRawBufferPointer, _ now: Int64) -> Answer {
    switch stage {
    case .none: return .none
    case .login, .confirming: return loginAnswer(payload)
    case .subscribing, .ready:
      if now < loginUntil, rules.loginConfirm.isEmpty, answersLogin(rules.loginReject, payload) { return .loginRejected }
      guard let subscriptions, subscriptions.waiting > 0 else { return .none }
      endWaiting(now)
      return subscriptionAnswer(payload, subscriptions)
    }
  }

  private func loginAnswer(_ payload: UnsafeRawBufferPointer) -> Answer {
    if answersLogin(rules.loginReject, payload) { return .loginRejected }
    if case .login(isConfirmed: true) = stage { return .none }
    guard answersLogin(rules.loginConfirm, payload) else { return .none }
    if case .confirming = stage { stage = .subscribing } else { stage = .login(isConfirmed: true) }
    return .loginConfirmed
  }

  @inline(__always)
  private func answersLogin(_ patterns: PatternList, _ payload: UnsafeRawBufferPointer) -> Bool {
    !patterns.isEmpty && isAnswer(patterns, payload)
  }

  private func isAnswer(_ patterns: PatternList, _ payload: UnsafeRawBufferPointer) -> Bool {
    var index = 0
    var answer = PatternCapture()
    while patterns.next(payload, &index, &answer) {
      guard let id = answer.id, !loginIDs.isEmpty else { return true }
      for known in loginIDs where PatternCapture.isText(id, known) { return true }
    }
    return false
  }

  private func subscriptionAnswer(_ payload: UnsafeRawBufferPointer, _ subscriptions: SubscriptionSet) -> Answer {
    var answer = PatternCapture()
    if let request = answered(rules.subscribeReject, payload, subscriptions, &answer) {
      // Of several, without answers to the good ones, nobody knows which is rejected.
      let isNobody = answer.id == nil && answer.key == nil && rules.subscribeConfirm.isEmpty && subscriptions.waiting > 1
      if rules.rejectionLeaves || isNobody { return .subscriptionRejected }
      return subscriptions.reject(request, key: answer.key).map { .keyRejected($0) } ?? .subscribed
    }
    guard let request = answered(rules.subscribeConfirm, payload, subscriptions, &answer) else { return .none }
    subscriptions.confirm(request, key: answer.key)
    return .subscribed
  }

  private func answered(
    _ patterns: PatternList, _ payload: UnsafeRawBufferPointer, _ subscriptions: SubscriptionSet,
    _ answer: inout PatternCapture
  ) -> SubscriptionRequest? {
    var index = 0
    while patterns.next(payload, &index, &answer) {
      if let request = subscriptions.find(answer) { return request }
    }
    return nil
  }
}
