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
        .topic(pattern: "price.*", name: nil, value: ""), .topic(pattern: "price.*", name: "latest", value: "true"),
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
}
