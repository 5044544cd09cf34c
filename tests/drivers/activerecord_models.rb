# The models of ActiveRecord that the scripts share.

require "active_record"

class Customer < ActiveRecord::Base
end

class Country < ActiveRecord::Base
  self.primary_key = "code"
end
