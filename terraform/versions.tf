terraform {
  required_version = ">= 1.9" # a variable's validation looks at another variable

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.40"
    }
  }

  # State lives on this machine. To share it: cp backend.tf.example backend.tf, and follow what it says.
}
