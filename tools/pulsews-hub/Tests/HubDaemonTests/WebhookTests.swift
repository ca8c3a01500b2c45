// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct WebhookTests {
  private static let secret = "0123456789abcdef"

  private func webhook(_ lines: String, path: String = "/hook") -> WebhookConfig? {
    Reading("[webhook.\"\(path)\"]\n\(lines)\n").config.webhooks.first?.value
  }

  private func judge(
    _ lines: String, _ body: String, target: String = "/hook/0123456789abcdef", method: String = "POST", address: String = "192.0.2.1",
    taken: Dedupe = Dedupe()
  ) -> WebhookVerdict? {
    webhook(lines)?.judge(WebhookCall(method: method, target: target, address: address, body: Array(body.utf8)), taken, now: 1)
  }

  private func code(_ verdict: WebhookVerdict?) -> String {
    switch verdict {
    case .refuse(let status, let code, _): "\(status) \(code)"
    case .duplicate: "duplicate"
    case .publish(let topic, let data, _): "\(topic) \(String(decoding: data, as: UTF8.self))"
    case nil: "none"
    }
  }

  private static let inPath = "secret = \"\(secret)\"\ntopic = \"signal.{ticker}\""
  private static let inBody = "secret = \"\(secret)\"\nsecret_in = \"body\""

  @Test func theSecretStandsInThePath() {
    let body = #"{"ticker":"BTCUSDT.P","n":1.10}"#
    #expect(webhook(WebhookTests.inPath)?.route == "/hook/")
    #expect(code(judge(WebhookTests.inPath, body)) == "signal.BTCUSDT-P \(body)")
    #expect(code(judge(WebhookTests.inPath, body, target: "/hook/0123456789abcdef?x=1")) == "signal.BTCUSDT-P \(body)")
    for target in ["/hook/", "/hook", "/hook/0123456789abcdee", "/hook/0123456789abcdef/", "/hook/0123456789abcde", "/", ""] {
      #expect(code(judge(WebhookTests.inPath, body, target: target)) == "401 bad_secret")
    }
  }

  @Test func orInTheBodyAndGoesNoFurther() {
    #expect(webhook(WebhookTests.inBody)?.route == "/hook")
    #expect(code(judge(WebhookTests.inBody, #"{"secret":"0123456789abcdef","a":1}"#)) == #"signal {"a":1}"#)
    for body in [#"{"a":1}"#, #"{"secret":"x"}"#, "a text", #"{"secret":"0123456789abcdef","secret":"0123456789abcdef"}"#, "[]"] {
      #expect(code(judge(WebhookTests.inBody, body)) == "401 bad_secret")
    }
  }

  @Test func onlyListedAddressesMayCall() {
    let lines = WebhookTests.inPath + "\nallow = [\"tradingview\", \"10.1.0.0/16\", \"2001:db8::/32\"]"
    for address in ["52.89.214.238", "10.1.255.1", "2001:db8::5", "::ffff:10.1.2.3"] {
      #expect(code(judge(lines, #"{"ticker":"A"}"#, address: address)) == #"signal.A {"ticker":"A"}"#)
    }
    for address in ["192.0.2.1", "10.2.0.0", "unix", "", "2001:db9::5", "52.89.214.238:1"] {
      #expect(code(judge(lines, #"{"ticker":"A"}"#, target: "/hook/wrong", address: address)) == "403 address_forbidden")
    }
  }

  @Test func bodiesAndMethods() {
    #expect(code(judge(WebhookTests.inPath, "{}", method: "GET")) == "405 method_not_allowed")
    #expect(code(judge(WebhookTests.inPath + "\nmax_body = 10", #"{"ticker":1}"#)) == "413 body_too_large")
    for body in ["", "{}", "text", #"{"ticker":null}"#, #"{"ticker":"a\u0001"}"#, #"{"ticker":"*"}"#] {
      #expect(code(judge(WebhookTests.inPath, body)) == "400 bad_body")
    }
    let plain = "secret = \"\(WebhookTests.secret)\""
    #expect(code(judge(plain, "buy \"now\"\n")) == #"signal "buy \"now\"\n""#)
    #expect(code(judge(plain, "{\"a\":1}")) == #"signal {"a":1}"#)
    #expect(code(judge(plain + "\naccept = \"text\"", "{\"a\":1}")) == #"signal "{\"a\":1}""#)
    #expect(code(judge(plain + "\naccept = \"json\"", "buy")) == "400 bad_body")
    #expect(
      code(
        webhook(plain)?.judge(
          WebhookCall(method: "POST", target: "/hook/\(WebhookTests.secret)", address: "", body: [0xFF]), Dedupe(), now: 1))
        == "400 bad_body")
  }

  @Test func whatComesAgainIsKnown() {
    var taken = Dedupe()
    guard case .publish(_, _, let mark?) = judge(WebhookTests.inPath, #"{"ticker":"A","id":1}"#) else { return #expect(Bool(false)) }
    taken.take(mark, now: 0, window: 60_000_000_000)
    #expect(judge(WebhookTests.inPath, #"{"ticker":"A","id":1}"#, taken: taken) == .duplicate)
    #expect(judge(WebhookTests.inPath, #"{"ticker":"A","id":2}"#, taken: taken) != .duplicate)
    let byMember = WebhookTests.inPath + "\nid_member = \"id\""
    guard case .publish(_, _, let member?) = judge(byMember, #"{"ticker":"A","id":7}"#) else { return #expect(Bool(false)) }
    taken.take(member, now: 0, window: 60_000_000_000)
    #expect(judge(byMember, #"{"ticker":"B","id":7}"#, taken: taken) == .duplicate)
    #expect(code(judge(byMember, #"{"ticker":"B"}"#, taken: taken)) == "400 bad_body")
    guard case .publish(_, _, nil) = judge(WebhookTests.inPath + "\nduplicate_window = 0", #"{"ticker":"A"}"#) else {
      return #expect(Bool(false))
    }
  }

  @Test func secretsAreCompared() {
    #expect(isSameSecret("abc".utf8, "abc".utf8))
    for (shown, right) in [("", "abc"), ("ab", "abc"), ("abcabc", "abc"), ("abd", "abc"), ("abc", ""), ("a", "aa"), ("aa", "a")] {
      #expect(!isSameSecret(shown.utf8, right.utf8))
    }
  }

  @Test(arguments: [
    ("", "needs \"secret\" or \"allow\""), ("secret = \"0123456789/abcdef\"", "letters, digits"), ("allow = \"nowhere\"", "\"allow\""),
    ("allow = \"10.0.0.0/33\"", "\"allow\""), ("secret_in = \"body\"\nallow = \"unix\"", "has no \"secret\""),
    ("allow = \"unix\"\ntopic = \"a.{b\"", "\"topic\""),
    ("allow = \"unix\"\nmax_body = \"2MiB\"", "max_body"), ("allow = \"unix\"\nduplicate_windo = 1", "\"duplicate_window\" is spelled"),
    ("allow = \"unix\"\naccept = \"xml\"", "one of any, json, text"),
  ])
  func whatIsWrongIsSaid(_ lines: String, _ part: String) {
    let errors = Reading("[webhook.\"/hook\"]\n\(lines)\n").errors
    #expect(errors.contains { $0.contains(part) }, "\(errors)")
  }

  @Test func aShortSecretIsWorthAWord() {
    #expect(Reading("[webhook.\"/hook\"]\nsecret = \"short\"").findings.warnings.count == 1)
    #expect(Reading("[webhook.\"hook/\"]\nallow = \"unix\"").errors.count == 1)
  }
}

@Suite struct DedupeTests {
  @Test func aWindowEnds() {
    var taken = Dedupe()
    let mark = Dedupe.Mark([1, 2, 3])
    #expect(!taken.contains(mark, now: 0))
    taken.take(mark, now: 0, window: 10)
    #expect(taken.contains(mark, now: 9))
    #expect(!taken.contains(mark, now: 10))
    #expect(!taken.contains(Dedupe.Mark([1, 2]), now: 5))
    taken.take(mark, now: 20, window: 10)
    taken.take(Dedupe.Mark([9]), now: 29, window: 10)
    #expect(taken.contains(mark, now: 29))
    #expect(taken.count == 2)
    taken.take(Dedupe.Mark([8]), now: .max - 1, window: 10)
    #expect(taken.count == 1)
  }

  @Test func itIsBounded() {
    var taken = Dedupe()
    for number in 0..<(Dedupe.most + 5000) { taken.take(Dedupe.Mark("\(number)".utf8), now: 0, window: .max) }
    #expect(taken.count == Dedupe.most)
    #expect(!taken.contains(Dedupe.Mark("4999".utf8), now: 1))
    #expect(taken.contains(Dedupe.Mark("5000".utf8), now: 1))
  }
}
