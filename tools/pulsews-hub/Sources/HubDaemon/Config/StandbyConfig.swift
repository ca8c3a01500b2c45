// SPDX-License-Identifier: Apache-2.0

/// In whose place a feed stands, and when.
struct StandbyConfig: Equatable, Sendable {
  /// The section's name of the other feed.
  let primary: Located<String>
  /// What that one is called to peers.
  var primaryName = ""
  /// How long it has to be without data (ns).
  let after: Int64
  /// How long it has to be back (ns).
  let stable: Int64

  private static let most: Int64 = 86_400_000_000_000
  private static let usual: Int64 = 10_000_000_000

  /// nil if it stands in nobody's place.
  static func read(_ section: Section) -> StandbyConfig? {
    let primary = section.text("standby_for")
    let times = ["after", "stable"].map { section.time($0, "0 to 1d", 0...most) }
    guard let primary else {
      for (key, time) in zip(["after", "stable"], times) where time != nil {
        section.findings.error(section.node(key)?.line ?? section.line, "\"\(key)\" of \(section.title) needs \"standby_for\"")
      }
      return nil
    }
    return StandbyConfig(primary: primary, after: times[0] ?? usual, stable: times[1] ?? usual)
  }

  /// Finds the feeds that others stand by for; errors for what can't be.
  static func connect(_ feeds: inout [FeedConfig], _ findings: Findings) {
    for index in feeds.indices {
      guard let standby = feeds[index].standby else { continue }
      let (line, name, title) = (standby.primary.line, standby.primary.value, "[feed.\(feeds[index].name)]")
      guard let primary = feeds.first(where: { $0.name == name }) else {
        let others = feeds.map(\.name).filter { $0 != feeds[index].name }
        let hint = NearestName.of(name, among: others).map { "; \"\($0)\" is spelled nearly so" } ?? ""
        findings.error(line, "\"standby_for\" of \(title): there is no feed \"\(name)\"\(hint)")
        continue
      }
      if primary.name == feeds[index].name {
        findings.error(line, "\"standby_for\" of \(title): a feed can't stand by for itself")
      } else if primary.standby != nil {
        findings.error(line, "\"standby_for\" of \(title): \"\(name)\" is a standby itself, and no feed stands by for one")
      }
      if primary.name != feeds[index].name, primary.clientName == feeds[index].clientName {
        findings.error(
          line, "\"standby_for\" of \(title): both feeds have the name \"\(primary.clientName)\", so that nobody can tell them apart")
      }
      feeds[index].standby?.primaryName = primary.clientName
    }
  }
}
