// SPDX-License-Identifier: Apache-2.0
import PulseFlow

/// Texts of the library's own, made from the templates of the options: each has a number that no other one of its line has.
package final class OwnTexts {
  private var last: UInt64 = 0

  package init() {}

  package func number() -> UInt64 {
    last &+= 1
    return last
  }

  /// Empty if the request does not have what the template asks for: then nothing is sent. `realtime` in nanoseconds since 1970.
  package func render(
    _ template: Template, _ realtime: Int64, request: UnsafeRawBufferPointer? = nil, keys: [[UInt8]] = []
  ) -> [UInt8] {
    var text: [UInt8] = []
    _ = template.render(into: &text, id: number(), realtime: realtime, keys: keys, request: request)
    return text
  }
}
