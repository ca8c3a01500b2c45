// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import PulseWire

struct HTTPDateTests {
  private let format: DateFormatter = {
    let format = DateFormatter()
    format.locale = Locale(identifier: "en_US_POSIX")
    format.timeZone = TimeZone(secondsFromGMT: 0)
    format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
    return format
  }()

  @Test func agreesWithFoundation() {
    for step in 0..<2000 {
      let seconds = Int64(step) * 86_411 * 37 + Int64(step)
      let text = format.string(from: Date(timeIntervalSince1970: TimeInterval(seconds)))
      #expect(HTTPDate.seconds(Array(text.utf8)) == seconds, "\(text)")
      #expect(String(decoding: HTTPDate.text(seconds), as: UTF8.self) == text)
    }
  }

  @Test(arguments: [
    "", "17", "Sun, 06 Nov 1994 08:49:37 UTC", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
    "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nvo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
    "Sun, 06 Nov 1969 08:49:37 GMT", "Sun, 0x Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMTx",
  ])
  func othersAreNoDates(text: String) {
    #expect(HTTPDate.seconds(Array(text.utf8)) == nil)
  }

  @Test func timesThatCannotBeWrittenAreMoved() {
    #expect(String(decoding: HTTPDate.text(.min), as: UTF8.self) == "Thu, 01 Jan 1970 00:00:00 GMT")
    #expect(String(decoding: HTTPDate.text(.max), as: UTF8.self) == "Fri, 31 Dec 9999 23:59:59 GMT")
  }

  @Test func retryAfterTakesDates() {
    func refusal(_ value: String) -> UpgradeRefusal {
      UpgradeRefusal(status: 503, reason: "", headers: [HTTPHeader(name: "Retry-After", value: value)], body: [])
    }
    #expect(refusal("Sun, 06 Nov 1994 08:49:37 GMT").retryAfter(now: 784_111_777 - 90) == 90)
    #expect(refusal("Sun, 06 Nov 1994 08:49:37 GMT").retryAfter(now: 784_111_777 + 90) == 0)
    #expect(refusal("Sun, 06 Nov 1994 08:49:37 GMT").retryAfter(now: .min / 4) == Int(Int32.max))
    #expect(refusal("30").retryAfter(now: 5) == 30)
    #expect(refusal("soon").retryAfter(now: 5) == nil)
  }
}
