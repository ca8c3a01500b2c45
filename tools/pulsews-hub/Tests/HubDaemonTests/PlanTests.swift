// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct PlanTests {
  private static let base = """
    [hub]
    listen = ["127.0.0.1:1"]
    name = "a"
    origin = ["https://a", "https://b"]
    [topic."price.*"]
    latest = true
    [feed.one]
    url = "ws://h/"
    map = "kraken"
    subscribe = ["A", "B"]
    [feed.two]
    url = "ws://h/"
    map = "kraken"
    """

  private func change(_ text: String) -> PlanChange {
    PlanChange(from: Plan(Reading(PlanTests.base).config), to: Plan(Reading(text).config))
  }

  private func edited(_ old: String, _ new: String) -> PlanChange { change(PlanTests.base.replacing(old, with: new)) }

  @Test func theCallsStandInOrder() {
    #expect(
      Plan(Reading(PlanTests.base).config).steps.map(\.call) == [
        .set(name: "name", value: "a"), .set(name: "origin", value: "https://a"), .set(name: "origin", value: "https://b"),
        .set(name: "events", value: "drained"), .set(name: "events", value: "topic_wanted"), .set(name: "events", value: "topic_idle"),
        .topic(pattern: "price.*", name: nil, value: ""),
        .topic(pattern: "price.*", name: "latest", value: "true"),
        .listen("127.0.0.1:1"),
      ])
  }

  @Test func linesAndCommentsAreNoChange() { #expect(change("# one\n\n" + PlanTests.base + "\n# two\n").isEmpty) }

  @Test func whatIsTheHubsNeedsARestart() {
    #expect(edited("name = \"a\"", "name = \"b\"").needsRestart == ["\"name\" of [hub]"])
    #expect(edited("127.0.0.1:1", "127.0.0.1:2").needsRestart == ["\"listen\" of [hub]"])
    #expect(edited("latest = true", "latest = true\nhistory = 5").needsRestart == ["\"history\" of [topic.\"price.*\"]"])
    #expect(edited("\"https://a\", \"https://b\"", "\"https://b\", \"https://a\"").needsRestart.count == 1)
    #expect(change(PlanTests.base + "\n[key.k]\nalgorithm=\"HS256\"\nsecret=\"s\"").needsRestart == ["[key.k]"])
  }

  @Test func feedsChangeOneByOne() {
    #expect(change(PlanTests.base + "\n[feed.three]\nurl=\"ws://h/\"\nmap=\"okx\"").addedFeeds.map(\.name) == ["three"])
    #expect(edited("[feed.two]", "[feed.other]").removedFeeds == ["two"])
    let replaced = edited("[feed.one]\nurl = \"ws://h/\"", "[feed.one]\nurl = \"ws://i/\"")
    #expect(replaced.replacedFeeds.map(\.name) == ["one"])
    #expect(replaced.resubscribedFeeds.isEmpty && replaced.needsRestart.isEmpty)
    let resubscribed = edited("\"B\"", "\"C\"")
    #expect(resubscribed.resubscribedFeeds.map(\.name) == ["one"])
    #expect(resubscribed.replacedFeeds.isEmpty && resubscribed.needsRestart.isEmpty)
  }

  /// What peers want, and the times of a standby, need no other connection.
  @Test func whoFollowsMayChange() {
    func plan(_ lines: String, standby: String = "") -> Plan {
      let reading = Reading(
        "[feed.a]\nurl=\"ws://h/\"\npreset=\"okx\"\nstreams=\"price\"\n\(lines)\n[feed.b]\nurl=\"ws://h/\"\nmap=\"okx\"\n\(standby)\n")
      #expect(reading.errors == [])
      return Plan(reading.config)
    }
    let old = plan("symbols=[\"A\"]", standby: "standby_for=\"a\"")
    let lines = ["symbols=[\"A\", \"B\"]", "follow=true\nsymbols=[\"A\"]", "follow=true\nlinger=5\nsymbols=[\"*\"]\nmost_symbols=5"]
    for changed in lines {
      let change = PlanChange(from: old, to: plan(changed, standby: "standby_for=\"a\""))
      #expect(change.resubscribedFeeds.map(\.name) == ["a"] && change.replacedFeeds.isEmpty && change.needsRestart.isEmpty)
    }
    let timed = PlanChange(from: old, to: plan("symbols=[\"A\"]", standby: "standby_for=\"a\"\nafter=1"))
    #expect(timed.resubscribedFeeds.map(\.name) == ["b"])
    #expect(PlanChange(from: old, to: plan("symbols=[\"A\"]")).replacedFeeds.map(\.name) == ["b"])
    // Its map names the other feed.
    let renamed = PlanChange(from: old, to: plan("symbols=[\"A\"]\nname=\"other\"", standby: "standby_for=\"a\""))
    #expect(renamed.replacedFeeds.map(\.name) == ["a", "b"])
  }

  private func calls(_ text: String) -> [HubCall] { Plan(Reading(text).config).steps.map(\.call) }

  @Test func webhooksHaveRoutesEventsAndTopics() {
    let hook = "[webhook.\"/hook\"]\nsecret = \"0123456789abcdef\"\ntopic = \"signal.{a}\"\n"
    let plain = calls(hook)
    #expect(plain.contains(.route(path: "/hook/", name: "kind", value: "application")))
    #expect(plain.contains(.topic(pattern: "signal.*", name: "history", value: "100")))
    #expect(plain.contains(.topic(pattern: "signal_status", name: "history", value: "100")))
    #expect(!plain.contains(.set(name: "events", value: "authenticated")))
    #expect(!plain.contains { if case .topic(_, "subscribe", _) = $0 { true } else { false } })
    let guarded = calls("[hub]\nauth = \"optional\"\n" + hook)
    #expect(guarded.contains(.set(name: "events", value: "authenticated")))
    #expect(guarded.contains(.topic(pattern: "signal.*", name: "subscribe", value: "granted")))
    // What the configuration names itself is its own matter.
    let named = calls("[topic.\"signal.**\"]\n" + hook)
    #expect(!named.contains { if case .topic("signal.*", _, _) = $0 { true } else { false } })
  }

  @Test func rulesOfAWebhookChangeAndItsPathDoesNot() {
    func webhook(_ path: String, _ secret: String) -> Plan {
      Plan(Reading("[webhook.\"\(path)\"]\nsecret = \"\(secret)\"\n").config)
    }
    #expect(PlanChange(from: webhook("/a", "0123456789abcdef"), to: webhook("/a", "0123456789abcdee")).isEmpty)
    #expect(PlanChange(from: webhook("/a", "0123456789abcdef"), to: webhook("/b", "0123456789abcdef")).needsRestart.count == 2)
    let first = PlanChange(from: Plan(Reading("").config), to: webhook("/a", "0123456789abcdef"))
    #expect(first.needsRestart.contains("whether there are [webhook], [portfolio] and \"auth\""))
  }

  @Test func aPortfolioHasTopics() {
    let made = calls("[hub]\nauth = \"required\"\n[portfolio]\nhistory = 5\n[topic.\"portfolio.*.trades\"]\nhistory = 7\n")
    for kind in PortfolioConfig.Kind.allCases {
      #expect(made.contains(.topic(pattern: "portfolio.*.\(kind.rawValue)", name: "subscribe", value: "granted")))
    }
    let own = made.lastIndex(of: .topic(pattern: "portfolio.*.trades", name: "history", value: "7"))
    let given = made.lastIndex(of: .topic(pattern: "portfolio.*.trades", name: "history", value: "5"))
    #expect(given != nil && own != nil && given ?? 0 < own ?? 0)
  }
}
