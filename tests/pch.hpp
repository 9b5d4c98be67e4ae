// What nearly every test includes, compiled once for all of them: it takes gcc longer than the
// tests themselves. Nothing of this repository is in it. A test still includes what it uses:
// clang's build, and editors, read it without this.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>
