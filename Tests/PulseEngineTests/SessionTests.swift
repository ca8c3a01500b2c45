// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// From an open connection to one on which messages flow, by a clock and a peer that the tests play.
@Suite struct SessionTests {
  private func session(_ change: (Session.Rules) throws -> Void = { _ in }) throws -> FakeSession {
    try FakeSession { rules in
      rules.login = [try template(#"{"op":"auth","id":${id}}"#), try template("hello")]
      rules.loginReject = try patterns(#"{"op":"denied"}"#)
      rules.subscribeMessage = try template(#"{"op":"sub","args":[${keys}],"id":${id}}"#)
      rules.unsubscribeMessage = try template(#"{"op":"unsub","args":[${keys}]}"#)
      rules.loginTimeout = 10 * second
      rules.subscribeTimeout = 4 * second
      rules.subscribeBatch = 2
      try change(rules)
    }
  }

  private func confirming(_ change: (Session.Rules) throws -> Void = { _ in }) throws -> FakeSession {
    try session { rules in
      rules.loginConfirm = try patterns(#"{"op":"welcome"}"#)
      rules.subscribeConfirm = try patterns(#"{"op":"ok","id":${id}}"#)
      rules.subscribeReject = try patterns(#"{"op":"bad","id":${id}}"#)
      try change(rules)
    }
  }

  // MARK: Stages

  /// Every pair of a stage and what can happen in it.
  @Test func everyStageAndEvent() throws {
    let stages = ["none", "login", "login confirmed", "confirming", "subscribing", "ready"]
    let table: [(event: String, after: [String], answer: [String])] = [
      (
        #"{"op":"welcome"}"#, ["none", "login confirmed", "login confirmed", "subscribing", "subscribing", "ready"],
        ["data", "login", "data", "login", "data", "data"]
      ),
      (#"{"op":"denied"}"#, stages, ["data", "no login", "no login", "no login", "data", "data"]),
      (#"{"op":"ok","id":2}"#, stages, ["data", "data", "data", "data", "subscribed", "data"]),
      (#"{"op":"bad","id":2}"#, stages, ["data", "data", "data", "data", "not a", "data"]),
      (#"{"op":"trade"}"#, stages, ["data", "data", "data", "data", "data", "data"]),
      ("loggedIn", ["none", "confirming", "subscribing", "confirming", "subscribing", "ready"], stages),
      ("becomesReady", stages, ["no", "no", "no", "no", "no", "no"]),
    ]
    for (event, after, answers) in table {
      for (place, name) in stages.enumerated() {
        let fake = try reached(name)
        try #require(fake.stage == name)
        switch event {
        case "loggedIn": fake.session.loggedIn(fake.now)
        case "becomesReady": #expect(!fake.session.becomesReady(fake.now), "\(name)")
        default: #expect(fake.answer(event) == answers[place], "\(name): \(event)")
        }
        #expect(fake.stage == after[place], "\(name): \(event)")
      }
    }
  }

  /// A session in that stage; the one that subscribes waits for an answer.
  private func reached(_ stage: String) throws -> FakeSession {
    let fake = try confirming { $0.login = [] }
    if stage == "none" { return fake }
    _ = fake.texts.number()
    fake.want("a")
    fake.begin()
    if stage == "login" { return fake }
    if stage == "login confirmed" {
      _ = fake.answer(#"{"op":"welcome"}"#)
      return fake
    }
    fake.advance()
    if stage == "confirming" { return fake }
    _ = fake.answer(#"{"op":"welcome"}"#)
    fake.advance()
    if stage == "subscribing" { return fake }
    _ = fake.answer(#"{"op":"ok","id":2}"#)
    #expect(fake.advance())
    return fake
  }

  @Test func nothingIsToBeDone() throws {
    let fake = FakeSession()
    #expect(fake.session.deadline == .max && fake.session.pending == 0 && fake.session.readyAt == 0)
    fake.begin()
    #expect(fake.session.isLogin && !fake.session.subscribes)
    #expect(fake.advance() && fake.session.isReady && fake.session.readyAt == second && fake.session.subscribes)
    #expect(fake.sent == [] && fake.session.deadline == .max && fake.problem == "none")
    // Once.
    #expect(!fake.advance())
  }

  @Test func aLoginThatNobodyConfirms() throws {
    let fake = try session()
    fake.want("a", "b", "c")
    fake.begin()
    #expect(fake.takeSent() == [#"{"op":"auth","id":1}"#, "hello"])
    #expect(fake.advance())
    #expect(fake.takeSent() == [#"{"op":"sub","args":["a","b"],"id":3}"#, #"{"op":"sub","args":["c"],"id":4}"#])
    // The server may still reject it, for as long as it may take.
    fake.now += 10 * second - 1
    #expect(fake.answer(#"{"op":"denied"}"#) == "no login")
    fake.now += 1
    #expect(fake.answer(#"{"op":"denied"}"#) == "data")
  }

  @Test func aLoginIsConfirmedInTimeOrNot() throws {
    let fake = try confirming()
    fake.begin()
    // The application may have more to do: its time is not counted here.
    #expect(fake.session.deadline == .max && !fake.session.becomesReady(fake.now))
    fake.now = 5 * second
    #expect(!fake.advance() && fake.session.deadline == 15 * second)
    fake.now = 15 * second - 1
    #expect(fake.problem == "none")
    fake.now = 15 * second
    #expect(fake.problem == "login")
    #expect(fake.answer(#"{"op":"welcome"}"#) == "login" && fake.advance() && fake.problem == "none")
  }

  /// The server confirms before the application has released its hold.
  @Test func aConfirmationThatComesEarly() throws {
    let fake = try confirming()
    fake.begin()
    #expect(fake.answer(#"{"op":"welcome"}"#) == "login" && fake.answer(#"{"op":"welcome"}"#) == "data")
    #expect(fake.session.isLogin)
    #expect(fake.advance() && fake.session.isReady)
  }

  // MARK: Logins

  @Test func theIDsOfALogin() throws {
    let fake = try session { rules in
      rules.loginConfirm = try patterns(#"{"id":${id},"result":true}"#)
      rules.loginReject = try patterns(#"{"id":${id},"error":true}"#)
    }
    fake.begin()
    // One of the application's, in its place.
    fake.session.note(login: bytes(#"{"id":"own"}"#))
    fake.advance()
    #expect(fake.answer(#"{"id":7,"error":true}"#) == "data" && fake.answer(#"{"id":7,"result":true}"#) == "data")
    #expect(fake.answer(#"{"id":1,"error":true}"#) == "no login" && fake.answer(#"{"id":"own","result":true}"#) == "login")
  }

  @Test func whatALoginSaysIsKeptUpToASize() throws {
    let fake = try session()
    fake.begin()
    #expect(String(decoding: fake.session.loginTexts, as: UTF8.self) == #"{"op":"auth","id":1} hello "#)
    for _ in 0..<20 { fake.session.note(login: [UInt8](repeating: 0x61, count: 1 << 10)) }
    #expect(fake.session.loginTexts.count > 16 << 10 && fake.session.loginTexts.count < 18 << 10)
    // Nobody asks.
    let quiet = try session { $0.loginReject = PatternList() }
    quiet.begin()
    #expect(quiet.session.loginTexts.isEmpty)
  }

  // MARK: Subscriptions

  @Test func subscriptionsAreConfirmed() throws {
    let fake = try confirming { $0.loginConfirm = PatternList() }
    fake.want("a", "b", "c")
    fake.begin()
    #expect(!fake.advance() && fake.stage == "subscribing" && fake.session.deadline == 5 * second)
    fake.now = 2 * second
    #expect(fake.answer(#"{"op":"ok","id":4}"#) == "subscribed" && !fake.advance())
    // The oldest counts.
    #expect(fake.session.deadline == 5 * second)
    fake.now = 5 * second
    #expect(fake.problem == "1 not confirmed")
    #expect(fake.answer(#"{"op":"ok","id":3}"#) == "subscribed" && fake.advance() && fake.session.deadline == .max)
    // Later ones are watched, too; the session stays ready.
    fake.want("d")
    fake.now = 20 * second
    #expect(!fake.advance() && fake.session.isReady && fake.session.deadline == 24 * second)
    fake.now = 24 * second
    #expect(fake.problem == "1 not confirmed")
  }

  @Test func aKeyIsRejectedByItself() throws {
    let fake = try confirming { $0.loginConfirm = PatternList() }
    fake.want("a", "b")
    fake.begin()
    fake.advance()
    // Which of both is to be found: each is sent by itself.
    _ = fake.takeSent()
    #expect(fake.answer(#"{"op":"bad","id":3}"#) == "subscribed" && !fake.advance())
    #expect(fake.takeSent() == [#"{"op":"sub","args":["a"],"id":4}"#, #"{"op":"sub","args":["b"],"id":5}"#])
    #expect(fake.answer(#"{"op":"bad","id":5}"#) == "not b" && fake.answer(#"{"op":"ok","id":4}"#) == "subscribed")
    #expect(fake.advance() && fake.wanted.keys() == [bytes("a")])
  }

  @Test func aRejectionThatLeaves() throws {
    for leaves in [true, false] {
      let fake = try session { rules in
        rules.rejectionLeaves = leaves
        rules.subscribeReject = try patterns(#"{"op":"bad"}"#)
      }
      fake.want("a")
      fake.begin()
      // Silence means yes.
      #expect(fake.advance() && fake.session.deadline == .max)
      #expect(fake.answer(#"{"op":"bad"}"#) == (leaves ? "rejected" : "not a"))
    }
  }

  /// Several wait, and the server confirms none: nobody knows which is rejected.
  @Test func aRejectionOfNobody() throws {
    let fake = try session { $0.subscribeReject = try patterns(#"{"op":"bad"}"#) }
    fake.want("a", "b", "c")
    fake.begin()
    #expect(fake.advance() && fake.answer(#"{"op":"bad"}"#) == "rejected")
    // Until they have had their time.
    fake.now += 4 * second
    #expect(fake.answer(#"{"op":"bad"}"#) == "data")
  }

  @Test func pausesBetweenMessages() throws {
    let fake = try session { rules in
      rules.subscribeInterval = second
      rules.subscribeBatch = 1
    }
    fake.want("a", "b")
    fake.begin()
    _ = fake.takeSent()
    #expect(!fake.advance() && fake.session.pause(fake.now) == 2 * second && fake.sent.count == 1)
    fake.now = 2 * second - 1
    #expect(!fake.advance() && fake.sent.count == 1)
    fake.now = 2 * second
    #expect(fake.advance() && fake.sent.count == 2)
  }

  @Test func textsOfTheApplication() throws {
    let fake = try session { $0.unsubscribeMessage = nil }
    _ = fake.wanted.add(key: bytes("own"), subscribe: bytes("on"), unsubscribe: bytes("off"))
    _ = fake.wanted.add(key: bytes("mute"), subscribe: bytes("listen"), unsubscribe: [])
    fake.want("made")
    fake.begin()
    _ = fake.takeSent()
    fake.advance()
    #expect(fake.takeSent() == ["on", "listen", #"{"op":"sub","args":["made"],"id":3}"#])
    for key in ["own", "mute", "made"] { #expect(fake.wanted.remove(key: bytes(key))) }
    fake.advance()
    // The others have no text for it.
    #expect(fake.takeSent() == ["off", "", ""])
  }

  /// Only what subscribes has an answer to wait for.
  @Test func nobodyConfirmsAnEnd() throws {
    let fake = try confirming { $0.loginConfirm = PatternList() }
    _ = fake.wanted.add(key: bytes("own"), subscribe: bytes(#"{"id":"on"}"#), unsubscribe: bytes("off"))
    fake.begin()
    #expect(!fake.advance() && fake.answer(#"{"op":"ok","id":"on"}"#) == "subscribed" && fake.advance())
    #expect(fake.wanted.remove(key: bytes("own")))
    _ = fake.takeSent()
    fake.advance()
    #expect(fake.takeSent() == ["off"] && fake.session.deadline == .max && fake.wanted.waiting == 0)
  }

  /// The next connection has none of them.
  @Test func anotherConnectionSubscribesAnew() throws {
    let fake = try confirming { $0.loginConfirm = PatternList() }
    fake.want("a", "b")
    fake.begin()
    fake.advance()
    _ = fake.takeSent()
    let next = Session(fake.rules, fake.texts, nil)
    #expect(next.begin(fake.wanted, realtime: 0).count == 2 && fake.wanted.waiting == 0)
    next.loggedIn(fake.now)
    #expect(next.pending == 2 && !next.becomesReady(fake.now))
    #expect(String(decoding: next.next(fake.now, realtime: 0), as: UTF8.self) == #"{"op":"sub","args":["a","b"],"id":6}"#)
  }

  @Test func aHubIsAskedFromWhereTopicsHaveCome() throws {
    let fake = try session { $0.subscribeMessage = nil }
    fake.points = ResumePoints(seed: 1)
    fake.want("t")
    fake.begin()
    _ = fake.takeSent()
    fake.advance()
    #expect(fake.sent.count == 1 && fake.sent[0].hasPrefix(#"{"type":"subscribe","id":3"#) && fake.sent[0].contains("\"t\""))
    // Without either there is nothing to say.
    let mute = try session { $0.subscribeMessage = nil }
    mute.want("t")
    mute.begin()
    _ = mute.takeSent()
    #expect(mute.advance() && mute.sent == [""])
  }

  // MARK: Heartbeats

  @Test func heartbeatsAndNotices() throws {
    let fake = try FakeSession { rules in
      rules.heartbeatReply = try patterns("pong")
      rules.serverHeartbeat = try patterns(#"{"type":"hb"}"#)
      rules.heartbeatRequest = try patterns(#"{"type":"ask"}"#)
      rules.rotateOn = try patterns(#"{"op":"bye"}"#)
    }
    #expect(fake.heartbeat("pong") == .reply && fake.heartbeat(#"{"type":"hb"}"#) == .server)
    #expect(fake.heartbeat(#"{"type":"ask","ping":5}"#) == .request && fake.heartbeat(#"{"op":"bye"}"#) == .none)
    func isNotice(_ text: String) -> Bool { bytes(text).withUnsafeBytes { fake.session.isNotice($0) } }
    #expect(isNotice(#"{"op":"bye"}"#) && !isNotice("pong"))
    #expect(FakeSession().heartbeat("pong") == .none)
  }

  @Test func aTextWithoutWhatItNeeds() throws {
    let texts = OwnTexts()
    let answer = try template(#"{"pong":${ping}}"#)
    func render(_ request: String) -> String {
      bytes(request).withUnsafeBytes { String(decoding: texts.render(answer, 0, request: $0), as: UTF8.self) }
    }
    #expect(render(#"{"ping":5}"#) == #"{"pong":5}"# && render("{}") == "")
    #expect(texts.number() == 3)
  }
}
