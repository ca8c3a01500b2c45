// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct TrialTests {
  private func errors(_ text: String) -> [String] {
    let reading = Reading(text)
    #expect(reading.errors == [])
    Trial.run(Plan(reading.config), reading.findings)
    return reading.errors
  }

  @Test func theLibrarySaysWhatItRefuses() {
    let errors = errors(
      """
      [hub]
      listen = ["nowhere"]
      heartbeat = "5x"
      [route."ws"]
      [topic."a.**.b"]
      [feed.f]
      preset = "kraken"
      url = "ws://h/"
      heartbeat_interval = -1
      max_redirects = 9
      heartbeat_timeout = 5
      [feed.g]
      map = "kraken"
      url = "http://h/"
      """)
    #expect(errors.map { $0.prefix { $0 != ":" } } == ["line 2", "line 3", "line 4", "line 5", "line 9", "line 10", "line 14"])
    #expect(errors.allSatisfy { $0.count > 30 })
  }

  @Test func alsoWhatIsSeenAtTheStartAlone() {
    #expect(self.errors("[hub]\nauth = \"required\"\n").first?.contains("needs a key") == true)
    let errors = errors("[hub]\nname = \"x\"\n[static]\n\"/a/\" = \"/there/is/no/such\"\n")
    #expect(errors.count == 1 && errors.first?.hasPrefix("line 4: ") == true, "\(errors)")
  }

  @Test func whatIsRightPasses() {
    #expect(errors("[hub]\nlisten = \"127.0.0.1:0\"\n[feed.f]\npreset = \"kraken\"\nurl = \"wss://h/\"\nsubscribe = [\"A\"]\n") == [])
  }
}
