// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct NotifyTests {
  @Test func theWatchdogIsFedTwiceInItsTime() {
    #expect(Notify(["WATCHDOG_USEC": "3000000"], process: 1).watchdog == 1_500_000_000)
    #expect(Notify(["WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"], process: 1).watchdog == 1_500_000_000)
  }

  @Test(arguments: [
    [:], ["WATCHDOG_USEC": "x"], ["WATCHDOG_USEC": "-1"], ["WATCHDOG_USEC": "9223372036854775807"],
    ["WATCHDOG_USEC": "1000", "WATCHDOG_PID": "2"],
  ])
  func orNot(_ environment: [String: String]) { #expect(Notify(environment, process: 1).watchdog == nil) }

  @Test func nobodyIsTold() {
    #expect(Notify([:], process: 1).tell("READY=1") == nil)
    #expect(Notify(["NOTIFY_SOCKET": "relative"], process: 1).tell("READY=1") == nil)
    #expect(Notify(["NOTIFY_SOCKET": "/there/is/no/such"], process: 1).tell("READY=1") != nil)
  }

  @Test func socketsAreForTheProcessThatIsNamed() {
    #expect(Activation.announced(["LISTEN_PID": "7", "LISTEN_FDS": "2"], process: 7) == [3, 4])
    #expect(Activation.announced(["LISTEN_PID": "8", "LISTEN_FDS": "2"], process: 7) == [])
    #expect(Activation.announced(["LISTEN_FDS": "2"], process: 7) == [])
    #expect(Activation.announced(["LISTEN_PID": "7", "LISTEN_FDS": "99999999"], process: 7) == [])
    #expect(Activation.announced(["LISTEN_PID": "7", "LISTEN_FDS": "-1"], process: 7) == [])
  }

  @Test func whatIsSecretInAURLIsNotShown() {
    #expect(Summary.place("wss://user:pass@host:1/path?key=1") == "wss://host:1/path")
    #expect(Summary.place("wss://host/@x") == "wss://host/@x")
    #expect(Summary.place("") == "")
  }
}
