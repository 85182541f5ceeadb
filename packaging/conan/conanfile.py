import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain
from conan.tools.files import copy, load

required_conan_version = ">=2.0"


class Coho(ConanFile):
    """The headers, with the CMake and pkg-config files that `cmake --install` makes."""

    name = "coho"
    description = "RLHF algorithms as C++20 headers"
    license = "Apache-2.0"
    topics = ("rlhf", "ppo", "grpo", "dpo", "reward-model", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    no_copy_source = True

    @property
    def _tree(self):
        return os.path.join(self.recipe_folder, os.pardir, os.pardir)

    def set_version(self):
        text = load(self, os.path.join(self._tree, "include", "coho", "version.hpp"))
        self.version = re.search(r'version = "([0-9.]+)"', text).group(1)

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "include/*"):
            copy(self, pattern, src=self._tree, dst=self.export_sources_folder)

    def requirements(self):
        # Part of coho's own headers.
        self.requires("eigen/3.4.0", transitive_headers=True)
        self.requires("range-v3/0.12.0", transitive_headers=True)

    def validate(self):
        check_min_cppstd(self, 20)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        for part in ("TORCH", "BUILD_TESTS", "BUILD_EXAMPLES", "BUILD_BENCH"):
            toolchain.cache_variables[f"COHO_{part}"] = False
        toolchain.cache_variables["COHO_INSTALL"] = True
        toolchain.generate()

    def build(self):
        CMake(self).configure()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", src=self.source_folder, dst=os.path.join(self.package_folder, "licenses"))

    def package_id(self):
        self.info.clear()  # the same headers for every compiler

    def package_info(self):
        # coho's own coho-config.cmake is found, which has the component torch too; CMakeDeps makes none.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("share", "cmake", "coho")]
        self.cpp_info.set_property("pkg_config_name", "coho")
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
