// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// A session and a server that remembers what it was told, through anything that both may do.
@Suite struct SessionModelTests {
  /// What the server knows.
  private struct Server {
    var login: Int?
    /// By the number of the message: its keys, until it is answered.
    var requests: [(id: Int, keys: [String], at: Int64)] = []
    var subscribed: [String] = []
  }

  private func fake(_ random: inout SeededRandom) throws -> FakeSession {
    let confirms = random.isOne(in: 2)
    let batch = 1 + random.below(4)
    let interval = random.isOne(in: 3) ? 50 * millisecond : 0
    return try FakeSession { rules in
      rules.login = [try template(#"{"login":${id}}"#)]
      if confirms { rules.loginConfirm = try patterns(#"{"in":true,"login":${id}}"#) }
      rules.subscribeMessage = try template(#"{"sub":[${keys}],"id":${id}}"#)
      rules.unsubscribeMessage = try template(#"{"unsub":[${keys}]}"#)
      rules.subscribeConfirm = try patterns(#"{"ok":true,"id":${id}}"#)
      rules.subscribeTimeout = 4 * second
      rules.subscribeBatch = batch
      rules.subscribeInterval = interval
    }
  }

  private func keys(_ text: String) -> [String] {
    let list = text.split(separator: "[", maxSplits: 1)[1].split(separator: "]")[0]
    return list.split(separator: ",").map { String($0.dropFirst().dropLast()) }
  }

  private func number(_ text: String, _ name: String) -> Int? {
    guard let range = text.firstRange(of: "\"\(name)\":") else { return nil }
    return Int(text[range.upperBound...].prefix { $0.isNumber })
  }

  private func hear(_ fake: FakeSession, _ server: inout Server, _ note: Comment) throws {
    for text in fake.takeSent() {
      if let login = number(text, "login") {
        server.login = login
      } else if text.hasPrefix(#"{"sub""#) {
        #expect(keys(text).count <= fake.rules.subscribeBatch, note)
        for key in keys(text) {
          try #require(!server.subscribed.contains(key), note)
          server.subscribed.append(key)
        }
        server.requests.append((try #require(number(text, "id")), keys(text), fake.now))
      } else {
        for key in keys(text) { server.subscribed.removeAll { $0 == key } }
      }
    }
  }

  @Test(arguments: 1...8)
  func agreesWithItsServer(seed: Int) throws {
    var random = SeededRandom(UInt64(seed))
    for round in 0..<20 {
      let fake = try fake(&random)
      var server = Server()
      var wanted: Set<String> = []
      var isReady = false
      for step in 0..<200 {
        let note: Comment = "seed \(seed), round \(round), step \(step)"
        fake.now += Int64(random.below(40)) * millisecond
        switch random.below(6) {
        case 0, 1:
          let key = "k\(random.below(12))"
          fake.want(key)
          wanted.insert(key)
        case 2:
          let key = "k\(random.below(12))"
          if fake.wanted.remove(key: bytes(key)) { wanted.remove(key) }
        case 3 where step > 5 && fake.stage == "none": fake.begin()
        case 4 where server.login != nil && fake.stage == "confirming":
          #expect(fake.answer(#"{"in":true,"login":\#(server.login ?? 0)}"#) == "login", note)
        case 4 where !server.requests.isEmpty:
          let request = server.requests.remove(at: random.below(server.requests.count))
          // It counts, whatever has become of its keys.
          _ = fake.answer(#"{"ok":true,"id":\#(request.id)}"#)
        default:
          if fake.stage != "none" { isReady = fake.advance() || isReady }
        }
        try hear(fake, &server, note)
        #expect(fake.session.isReady == isReady, note)
        if isReady || fake.stage == "subscribing", fake.session.deadline != .max {
          #expect(server.requests.contains { $0.at + 4 * second == fake.session.deadline }, note)
        }
      }
      try settle(fake, &server, wanted, "seed \(seed), round \(round)")
    }
  }

  /// The server answers all, and time goes on: then both agree.
  private func settle(_ fake: FakeSession, _ server: inout Server, _ wanted: Set<String>, _ note: Comment) throws {
    if fake.stage == "none" { fake.begin() }
    for _ in 0..<100 {
      fake.now += 50 * millisecond
      fake.advance()
      try hear(fake, &server, note)
      if fake.stage == "confirming" || fake.stage == "login" { _ = fake.answer(#"{"in":true,"login":\#(server.login ?? 0)}"#) }
      for request in server.requests { _ = fake.answer(#"{"ok":true,"id":\#(request.id)}"#) }
      server.requests = []
    }
    #expect(fake.session.isReady && fake.session.pending == 0 && fake.session.deadline == .max, note)
    #expect(Set(server.subscribed) == wanted, note)
  }
}
